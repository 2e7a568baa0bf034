"""The pure parts of the Customer.io connector: events of a mail, windows, error table, cursors, default mappings."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from gtmc_pipelines.connectors import positions
from gtmc_pipelines.connectors.customerio import checkpoint, defaults
from gtmc_pipelines.connectors.customerio.ahead import checked
from gtmc_pipelines.connectors.customerio.behavioral_events import is_behavior
from gtmc_pipelines.connectors.customerio.email_events import COUNT, WINDOW_SECONDS, events_of, windows
from gtmc_pipelines.connectors.customerio.errors import BY_STATUS, detail_of, fault_of, is_busy_second
from gtmc_pipelines.connectors.customerio.people import person_of
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import ReadFrom, RejectedRecord, SourceRecord

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
T = 1_767_225_600
STREAMS = {Entity.PERSON: ("people",), Entity.ACTIVITY: ("email_events", "behavioral_events")}


@pytest.mark.parametrize(
    ("metrics", "events"),
    [
        ({"created": T, "sent": T + 5, "delivered": T + 9}, {"sent": T + 5}),
        ({"sent": T, "opened": T + 60, "clicked": T + 90}, {"sent": T, "opened": T + 60, "clicked": T + 90}),
        ({"sent": T, "opened": T + 60, "prefetch_opened": T + 60}, {"sent": T}),
        ({"sent": T, "opened": T, "prefetch_opened": T, "human_opened": T + 99}, {"sent": T, "opened": T + 99}),
        ({"sent": T, "opened": T + 60, "human_opened": 2}, {"sent": T, "opened": T + 60}),
        ({"sent": T, "opened": T + 60, "human_opened": 0, "prefetch_opened": 1}, {"sent": T}),
        ({"sent": T, "human_clicked": T + 3}, {"sent": T, "clicked": T + 3}),
        ({"created": T, "dropped": T + 1}, {}),
        ({"sent": None, "opened": True, "clicked": "yesterday"}, {}),
    ],
)
def test_a_mail_gives_the_events_the_scorer_knows(metrics: Mapping[str, Any], events: Mapping[str, int]) -> None:
    assert events_of(metrics) == events


def test_opens_by_machines_can_be_counted_on_request() -> None:
    assert events_of({"sent": T, "opened": T + 60, "prefetch_opened": T + 60}, COUNT)["opened"] == T + 60


def test_windows_cover_the_time_without_gap_or_overlap() -> None:
    found = list(windows(T, T + 100 * 86_400))
    assert (found[0][0], found[-1][1]) == (T, T + 100 * 86_400)
    assert all(end - begin < WINDOW_SECONDS for begin, end in found)
    assert all(one[1] + 1 == other[0] for one, other in pairwise(found))
    assert list(windows(T, T)) == [(T, T)]


@pytest.mark.parametrize("status", sorted(BY_STATUS))
@pytest.mark.parametrize(
    "body", [b'{"errors":[{"detail":"Kim Secret","status":"400"}]}', b'{"meta":{"error":"Kim Secret"}}', b"<html>"]
)
def test_no_error_repeats_what_the_vendor_said(status: int, body: bytes) -> None:
    fault = fault_of(status, body, NOW, "acme")
    assert "Secret" not in str(fault)
    assert str(status) in fault.sentence
    assert fault.next_step


def test_a_spent_day_is_deferred_by_the_hour_and_a_busy_second_is_not() -> None:
    assert BY_STATUS[429].leaf is Defer
    fault = fault_of(429, b'{"errors":[{"detail":"daily quota exceeded","status":"429"}]}', NOW, "acme")
    assert isinstance(fault, Defer)
    assert fault.until - NOW > timedelta(minutes=59)
    assert is_busy_second(429, True, b"")
    assert is_busy_second(429, False, b'{"errors":[{"detail":"rate limited to 10 requests per 1s","status":"429"}]}')
    assert not is_busy_second(429, False, b'{"meta":{"error":"quota"}}')
    assert detail_of(b"[]") == detail_of(b"{") == detail_of(b'{"errors":[]}') == ""


def test_a_refused_key_names_the_command_for_this_tenant() -> None:
    fault = fault_of(401, b"", NOW, "acme")
    assert isinstance(fault, Reauthorize)
    assert "gtmc connectors connect --tenant acme --connector customerio" in fault.next_step


@pytest.mark.parametrize("cursor", ["https://elsewhere.example/v1", "//elsewhere", "a b", "", "x" * 2_001])
def test_a_cursor_that_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Broken):
        checked(cursor)


def test_a_damaged_checkpoint_or_watermark_asks_for_a_full_sync() -> None:
    for text in ("", "{", '{"start":7}', '{"start":"https://elsewhere.example/"}'):
        with pytest.raises(Broken):
            checkpoint.decode(text)
    with pytest.raises(Broken) as caught:
        checkpoint.since(ReadFrom(SyncMode.INCREMENTAL, NOW, "yesterday"), timedelta(0))
    assert "full sync" in caught.value.next_step
    assert checkpoint.decode(positions.encode(checkpoint.Checkpoint("MDAwMg", 7))) == checkpoint.Checkpoint("MDAwMg", 7)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("event", True),
        ("page", True),
        ("opened_push", True),
        ("clicked_in_app", True),
        ("opened_email", False),
        ("sent_push", False),
        ("attribute_change", False),
        ("_o:1:attribute_change", False),
        ("profile_delete", False),
        ("", False),
    ],
)
def test_only_what_a_person_did_is_behavior(kind: str, counts: bool) -> None:
    assert is_behavior(kind) is counts


def test_a_person_keeps_the_vendors_own_digits_and_loses_the_devices() -> None:
    bare = b'{"identifiers":{"cio_id":"a1","id":null},"attributes":{"n":12345678901234567890},"devices":[{}]}'
    found = person_of(msgspec.Raw(b'{"customer":' + bare + b"}"))
    assert isinstance(found, SourceRecord)
    assert found == person_of(msgspec.Raw(bare))
    assert b"12345678901234567890" in found.payload
    assert b"devices" not in found.payload
    for broken in (
        b"7",
        b'{"customer":null}',
        b'{"identifiers":null,"attributes":null}',
        b'{"identifiers":{"cio_id":7}}',
    ):
        assert isinstance(person_of(msgspec.Raw(broken)), RejectedRecord)


@pytest.mark.parametrize("entity", list(STREAMS))
def test_default_mappings_are_valid(entity: Entity) -> None:
    assert validate(entity, list(defaults.DEFAULT_MAPPINGS[entity]), STREAMS[entity]) == []


def _row(stream: str, **record: Any) -> dict[str, Any]:
    mapper = compile_mapping(Entity.ACTIVITY, defaults.DEFAULT_MAPPINGS[Entity.ACTIVITY], stream)
    return mapper.values(json.dumps(record).encode())


@pytest.mark.parametrize(("kind", "names"), defaults.EVENT_TYPES.items())
def test_event_names_become_the_scorers_types(kind: str, names: tuple[str, ...]) -> None:
    for name in names:
        spelled = name.replace("_", " ").title()
        row = _row("behavioral_events", id="1", type="event", timestamp=T, event_name=spelled)
        assert (row["type"], row["channel"]) == (kind, defaults.CHANNELS[kind])


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("page", "https://acme.test/pricing", ("page_view", "web")),
        ("screen", None, ("page_view", "web")),
        ("event", "something_else", ("event", "other")),
        ("event", None, ("event", "other")),
        ("opened_push", None, ("opened_push", "other")),
    ],
)
def test_everything_else_lands_in_the_channel_other(kind: str, name: str | None, found: tuple[str, str]) -> None:
    row = _row("behavioral_events", id="1", type=kind, timestamp=T, event_name=name)
    assert (row["type"], row["channel"]) == found


def test_a_person_is_known_by_the_id_that_outlives_a_deletion() -> None:
    row = _row(
        "email_events", id="d", metric="opened", occurred_at=T, customer_identifiers={"cio_id": "a1"}, customer_id="u-1"
    )
    assert (row["type"], row["channel"], row["person_external_id"]) == ("email_open", "email", "a1")
    fallback = _row("email_events", id="d", metric="clicked", occurred_at=T, customer_id="u-1")
    assert (fallback["type"], fallback["person_external_id"]) == ("email_click", "u-1")
