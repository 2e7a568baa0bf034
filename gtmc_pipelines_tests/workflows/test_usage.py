"""What a sync costs at the vendor is on its log, adds up over segments, and stays within the connector's share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.options import parse_options
from gtmc_pipelines.connectors.registry import options_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines.storage.sync_logs import Used
from gtmc_pipelines.workflows.activities.usage import over_share
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import ScriptedSession, people

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
HOURS = st.lists(st.tuples(st.integers(0, 23), st.integers(0, 500)), min_size=1, max_size=6)


@given(syncs=HOURS, limit=st.integers(1, 1_000), percent=st.integers(1, 100))
def test_a_share_is_kept_as_of_the_moment_it_names(syncs: list[tuple[int, int]], limit: int, percent: int) -> None:
    used = [Used(NOW - timedelta(hours=ago), made, limit) for ago, made in sorted(syncs, reverse=True)]
    until = over_share(used, percent)
    allowed = limit * percent // 100
    if until is None:
        assert sum(each.requests for each in used) <= allowed
        return
    assert sum(each.requests for each in used) > allowed
    left = [each for each in used if each.started_at > until - timedelta(hours=24)]
    assert over_share(left, percent) is None, "by then enough is a day old"
    assert until > NOW


def test_without_a_told_limit_nothing_is_withheld() -> None:
    assert over_share([Used(NOW, 1_000_000, None)], 1) is None
    assert over_share([], 1) is None


def test_only_connectors_whose_vendor_has_a_daily_quota_take_the_option() -> None:
    known = {kind for kind in ConnectorType if "daily_quota_percent" in {each.name for each in options_of(kind)}}
    assert known == {ConnectorType.SALESFORCE}
    texts = ["daily_quota_percent=80"]
    assert parse_options(options_of(ConnectorType.SALESFORCE), texts, frozenset()) == {"daily_quota_percent": 80}


class Metered(ScriptedSession):
    """A session whose every look at its usage has cost three more requests."""

    limit = 100_000

    def __init__(self) -> None:
        super().__init__()
        self._made = 0

    @property
    def usage(self) -> dict[str, int]:  # type: ignore[override]
        self._made += 3
        return {"requests": self._made, "api_used": 500 + self._made, "api_limit": self.limit}

    @usage.setter
    def usage(self, _: Any) -> None: ...


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> type[Metered]:
    monkeypatch.setattr("gtmc_pipelines_tests.workflows.scripted.ScriptedSession", Metered)
    monkeypatch.setattr("gtmc_pipelines.workflows.activities.usage._WRITTEN_EVERY_SECONDS", 0.0)
    return Metered


@pytest.mark.services
def test_usage_adds_up_and_beyond_its_share_a_sync_defers(make_stage: Any, metered: type[Metered]) -> None:
    with make_stage(segment_records=2_000) as stage:
        stage.connector.script = {"contacts": [people(2_000, start) for start in (0, 2_000, 4_000)]}
        outcome = stage.sync()
        log = stage.log(outcome.sync_log_id)
        assert (outcome.is_success, log.full_because, log.kind) == (True, "first_sync", "full")
        segments = log.vendor_usage["requests"] // 3
        assert segments >= 3 + len(stage.connector.streams), "counted over every segment, at each step"
        assert log.vendor_usage["api_limit"] == 100_000
        metered.limit = 2 * log.vendor_usage["requests"] + 40
        stage.connector.script = {"contacts": [people(2_000, start) for start in range(0, 20_000, 2_000)]}
        deferred = stage.sync(SyncMode.FULL)
        assert (deferred.outcome, deferred.error_code) == (Outcome.DEFERRED, "quota_share_used")
        assert "50 %" in deferred.error
        assert "daily_quota_percent" in deferred.next_step
        assert deferred.deferred_until is not None
        assert deferred.deferred_until > datetime.now(UTC) + timedelta(hours=23)
        begun = len(stage.connector.reads)
        assert stage.sync().outcome is Outcome.DEFERRED, "before the vendor is asked"
        assert len(stage.connector.reads) == begun
        _set_share(stage, 100)
        metered.limit = 100_000
        with stage.database.tenant(stage.tenant) as handle:  # the vendor tells another limit, a larger one
            run(handle, "UPDATE sync_logs SET vendor_usage = jsonb_set(vendor_usage, '{api_limit}', '100000')")
        rest = stage.sync()
        assert rest.is_success
        assert stage.log(rest.sync_log_id).full_because == "unfinished_full_read"
        again = dict(reversed(stage.connector.reads[begun:]))["contacts"]
        assert again.checkpoint, "it goes on at its checkpoint"


def _set_share(stage: Stage, percent: int) -> None:
    with stage.database.tenant(stage.tenant) as handle:
        statement = (
            "UPDATE connectors SET config = jsonb_set(config, '{options,daily_quota_percent}', %(percent)s::jsonb)"
        )
        run(handle, statement, {"percent": str(percent)})


@pytest.mark.services
def test_renormalizing_and_replay_are_logged_as_what_they_are(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(3)]}
    stage.sync()
    stage.sync()
    stage.client.outcome(stage.client.renormalize(stage.request(), datetime.now(UTC)))
    stage.client.outcome(stage.client.replay(stage.request(), datetime.now(UTC)))
    logs = list_syncs(stage.database, stage.tenant)
    assert [log.kind for log in logs] == ["replay", "renormalize", "incremental", "full"]
    assert [log.sync_type for log in logs] == [SyncMode.INCREMENTAL] * 3 + [SyncMode.FULL]
    assert [log.full_because for log in logs] == [None, None, None, "first_sync"]
    assert [bool(log.vendor_usage) for log in logs] == [False] * 4, "a scripted vendor costs nothing"
