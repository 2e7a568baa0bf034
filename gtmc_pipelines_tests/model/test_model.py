"""The words of the trade: ids, counters, errors and the catalog agree with the documents."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.catalog import STREAMS, canonical_tables, stream_of
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.errors import Defer, Misuse, Reject, Retry, SyncFault
from gtmc_pipelines.model.ids import new_connector_id, tenant_id, workflow_id
from gtmc_pipelines.model.phases import Outcome, SyncStatus
from gtmc_pipelines.model.records import Page, Slice, SourceRecord

COUNTS = st.builds(Counts, *[st.integers(0, 1000)] * 7)


@pytest.mark.parametrize("good", ["acme", "a", "0", "acme-emea_2", "a" * 63])
def test_a_plain_slug_is_a_tenant_id(good: str) -> None:
    assert tenant_id(good) == good


@pytest.mark.parametrize("bad", ["", "Acme", "-a", "a,b", "a/b", "a b", "a" * 64, "ä", "a\n", "../a", "a'--"])
def test_anything_else_is_refused_with_the_next_step(bad: str) -> None:
    with pytest.raises(Misuse) as caught:
        tenant_id(bad)
    assert caught.value.next_step


def test_a_workflow_id_depends_on_the_moment_and_not_on_its_zone() -> None:
    at = datetime(2026, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)
    expected = "sync-acme-c1-20260131T100000123Z"
    assert workflow_id("acme", "c1", at) == expected
    assert workflow_id("acme", "c1", at.astimezone(timezone(timedelta(hours=5)))) == expected


def test_connector_ids_are_uuids_and_differ() -> None:
    ids = {new_connector_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) for text in ids)


@given(COUNTS, COUNTS)
def test_counters_add_up_and_survive_json(one: Counts, other: Counts) -> None:
    assert (one + other).accounted == one.accounted + other.accounted
    assert Counts.of({**one.as_dict(), "unknown": 7}) == one
    assert one.is_balanced == (one.read == one.accounted)


def test_errors_say_their_sentence_and_step_and_keep_their_code() -> None:
    error = Retry("rate_limited", "The vendor asks for patience.", next_step="Nothing to do.", after_seconds=3)
    assert str(error) == "The vendor asks for patience. Nothing to do."
    assert (error.code, error.after_seconds) == ("rate_limited", 3)
    assert isinstance(error, SyncFault)
    assert str(Reject("x", "A sentence.")) == "A sentence."


def test_a_deferred_sync_goes_on_at_a_utc_time() -> None:
    until = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    assert Defer("quota", "Used up.", until=until).until == datetime(2026, 1, 31, 10, tzinfo=UTC)


def test_every_connector_type_has_streams_that_feed_known_tables() -> None:
    assert set(STREAMS) == set(ConnectorType)
    for connector, streams in STREAMS.items():
        names = [stream.name for stream in streams]
        assert len(set(names)) == len(names)
        assert all(stream.connector is connector and stream.tables for stream in streams)
        assert stream_of(connector, names[0]) == streams[0]
        assert len(set(canonical_tables(connector))) == len(canonical_tables(connector))
    assert stream_of(ConnectorType.SALESFORCE, "nonsense") is None


def test_the_documented_words_are_exactly_these() -> None:
    assert [status.value for status in ConnectorStatus] == ["disconnected", "connected", "syncing", "error"]
    assert [status.value for status in SyncStatus] == ["running", "completed", "failed"]
    assert [kind.value for kind in ConnectorType] == ["salesforce", "customerio", "delivrai", "o365", "fathom"]


def test_only_a_completed_sync_counts_as_completed() -> None:
    assert [outcome for outcome in Outcome if outcome.status is SyncStatus.COMPLETED] == [Outcome.COMPLETED]


def test_targets_and_columns_are_unique_and_match() -> None:
    for entity in Entity:
        spec = ENTITIES[entity]
        assert len({field.target for field in spec.fields}) == len(spec.fields)
        for field in spec.fields:
            assert field.column == re.sub(r"([A-Z])", lambda match: "_" + match.group().lower(), field.target)
            assert spec.field(field.target) == field
    assert ENTITIES[Entity.PERSON].field("nonsense") is None


def test_a_page_accounts_for_everything_it_read() -> None:
    record = SourceRecord("1", b'{"Id":"1"}', None)
    page = Page([record, record], None, watermark="w", skipped=3)
    assert (page.is_last, page.size, page.read) == (True, 20, 5)


def test_the_label_of_a_slice_never_shows_in_its_text() -> None:
    assert "kim@" not in repr(Slice("hash", "kim@example.com"))
