"""Who is due at a tick: by the fleet's cadence, by a cron of one's own, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from gtmc_pipelines.defs.due import due_by_cadence, due_by_own_time, latest_moment, moments_until, shards, still_asked
from gtmc_pipelines.defs.schedules import sweep_requests
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.read_models import DueConnector

NOW = datetime(2027, 1, 4, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def connector(**changes: Any) -> DueConnector:
    values: dict[str, Any] = {
        "tenant_id": "acme",
        "connector_id": "c1",
        "type": ConnectorType.SALESFORCE,
        "status": ConnectorStatus.CONNECTED,
        "schedule_cron": None,
        "schedule_timezone": "UTC",
        "last_sync_at": None,
        "last_started_at": None,
        "deferred_until": None,
        "last_streams": 6,
    }
    return DueConnector(**values | changes)


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        ({}, True),
        ({"last_sync_at": NOW - 31 * MINUTE}, True),
        ({"last_sync_at": NOW - 5 * MINUTE}, False),
        ({"last_sync_at": NOW - 5 * MINUTE, "last_streams": 1}, True),
        ({"last_sync_at": NOW - 5 * MINUTE, "status": ConnectorStatus.ERROR}, True),
        ({"schedule_cron": "0 * * * *"}, False),
    ],
)
def test_a_tick_leaves_out_who_was_synced_completely_a_moment_ago_and_who_has_an_own_cron(
    changes: dict[str, Any], is_due: bool
) -> None:
    assert bool(due_by_cadence([connector(**changes)], NOW)) is is_due


@pytest.mark.parametrize(
    ("cron", "timezone", "last", "is_due"),
    [
        ("0 10 * * *", "UTC", NOW - timedelta(hours=3), True),
        ("0 10 * * *", "UTC", NOW - timedelta(hours=1), False),
        ("0 12 * * *", "UTC", NOW - timedelta(hours=1), True),
        ("0 15 * * *", "UTC", NOW - timedelta(hours=1), False),
        ("0 13 * * *", "Europe/Berlin", NOW - MINUTE, True),
        ("0 9 * * *", "UTC", None, True),
    ],
)
def test_a_connector_with_its_own_cron_is_due_when_that_has_come_round_since_its_last_start(
    cron: str, timezone: str, last: datetime | None, is_due: bool
) -> None:
    one = connector(schedule_cron=cron, schedule_timezone=timezone, last_started_at=last)
    due, senseless = due_by_own_time([one], NOW, {})
    assert (bool(due), senseless) == (is_due, [])


@pytest.mark.parametrize("cron", [None, "0 3 1 * *"])
def test_a_deferred_connector_goes_on_at_its_time_whatever_its_schedule_and_once(cron: str | None) -> None:
    begun, until = NOW - 2 * HOUR, NOW - MINUTE
    one = connector(schedule_cron=cron, last_started_at=begun, deferred_until=until, status=ConnectorStatus.ERROR)
    due, _ = due_by_own_time([one], NOW, {})
    assert [each.moment for each in due] == [until]
    asked = {"c1": [until.isoformat(), NOW.isoformat()]}
    assert still_asked(asked, [one]) == asked
    assert due_by_own_time([one], NOW + MINUTE, asked)[0] == []
    assert due_by_cadence([one], NOW) == [], "not by the fleet's tick of that moment as well"
    assert bool(due_by_cadence([one], NOW + 4 * HOUR)) is (cron is None), "but if nothing came of it"
    assert due_by_own_time([connector(schedule_cron=cron, last_started_at=NOW)], NOW + MINUTE, {})[0] == []


def test_however_many_moments_were_missed_one_sync_catches_up() -> None:
    one = connector(schedule_cron="*/15 * * * *", last_started_at=NOW - timedelta(days=3))
    due, _ = due_by_own_time([one], NOW, {})
    assert [each.moment for each in due] == [NOW]


def test_what_was_asked_for_is_asked_for_again_only_when_nothing_started_in_half_an_hour() -> None:
    one = connector(schedule_cron="0 10 * * *", last_started_at=NOW - timedelta(hours=20))
    for minutes, is_due in ((1, False), (31, True)):
        asked = {"c1": ["2027-01-04T10:00:00+00:00", (NOW - minutes * MINUTE).isoformat()]}
        assert bool(due_by_own_time([one], NOW, asked)[0]) is is_due


def test_what_has_started_is_forgotten() -> None:
    asked = {"c1": ["2027-01-04T10:00:00+00:00", NOW.isoformat()], "gone": ["2027-01-04T10:00:00+00:00", ""]}
    waiting = connector(last_started_at=NOW - timedelta(days=1))
    assert still_asked(asked, [waiting]) == {"c1": asked["c1"]}
    assert still_asked(asked, [connector(last_started_at=NOW)]) == {}


@pytest.mark.parametrize(("cron", "timezone"), [("often", "UTC"), ("0 1 * * *", "Mars/Olympus"), ("0 1 * * *", "US")])
def test_a_cron_that_makes_no_sense_is_named_and_spoils_nobody_elses(cron: str, timezone: str) -> None:
    bad = connector(connector_id="bad", schedule_cron=cron, schedule_timezone=timezone)
    good = connector(schedule_cron="0 9 * * *")
    due, senseless = due_by_own_time([bad, good], NOW, {})
    assert ([each.due.connector_id for each in due], senseless) == (["c1"], ["bad"])


def test_a_moment_is_the_last_one_not_after_now() -> None:
    assert latest_moment("0 12 * * *", "UTC", NOW) == NOW
    assert latest_moment("0 12 * * *", "UTC", NOW - MINUTE) == NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("cron", "moments"),
    [
        ("30 2 * * *", ["2026-10-25T00:30", "2026-10-24T00:30"]),
        ("*/30 2 * * *", ["2026-10-25T00:30", "2026-10-25T00:00", "2026-10-24T00:30"]),
        ("0 * * * *", ["2026-10-25T01:00", "2026-10-25T00:00", "2026-10-24T23:00"]),
    ],
)
def test_in_the_night_the_clocks_go_back_an_hour_that_was_named_comes_once(cron: str, moments: list[str]) -> None:
    later = datetime(2026, 10, 25, 1, 45, tzinfo=UTC)  # 02:45 in Berlin, for the second time
    found = list(islice(moments_until(cron, "Europe/Berlin", later), len(moments)))
    assert found == [datetime.fromisoformat(moment).replace(tzinfo=UTC) for moment in moments]


def test_what_was_asked_for_in_that_night_is_not_asked_for_again() -> None:
    one = connector(schedule_cron="0 * * * *", schedule_timezone="Europe/Berlin")
    for hour in (0, 1):  # 02:00 in Berlin, twice
        now = datetime(2026, 10, 25, hour, 10, tzinfo=UTC)
        ((due,), _) = due_by_own_time([one], now, {})
        assert due_by_own_time([one], now, {"c1": [due.moment.isoformat(), now.isoformat()]})[0] == []


@pytest.mark.parametrize(("tenants", "sizes"), [(1, [1]), (500, [500]), (501, [251, 250]), (2_000, [500] * 4)])
def test_a_tick_is_one_run_up_to_500_tenants(tenants: int, sizes: list[int]) -> None:
    names = [f"t{number}" for number in range(tenants)]
    assert [len(part) for part in shards(names)] == sizes
    requests = sweep_requests(ConnectorType.SALESFORCE, names, "key")
    assert len({request.run_key for request in requests}) == len(sizes)
    asked = [t for r in requests for t in r.run_config["ops"]["salesforce"]["config"]["tenant_ids"]]
    assert sorted(asked) == sorted(names)
