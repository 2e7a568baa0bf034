"""A read that is cut while nobody can tell yet whether a field is hidden or empty: nothing of it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Retry, Unserved
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.storage import stream_fields
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.stream_fields import StreamFields
from gtmc_pipelines.workflows.activities.field_watch import RECORDS_NEEDED, FieldWatch
from gtmc_pipelines.workflows.activities.mappers import mappers_of
from gtmc_pipelines.workflows.activities.positions import Start
from gtmc_pipelines.workflows.activities.slices import ReadBatch, SliceEnd
from gtmc_pipelines.workflows.inputs import SyncRequest

pytestmark = pytest.mark.services

STREAM = next(each for each in STREAMS[ConnectorType.FATHOM] if each.name == "meetings")
START = Start(ReadFrom(SyncMode.INCREMENTAL, datetime(2026, 5, 3, tzinfo=UTC)))
"""The watch asks nothing of a stream but its name: slices may be of any."""


@pytest.fixture
def watch(database: Database, tenant: str) -> FieldWatch:
    """Of a stream whose titles were always filled."""
    row = add_connector(database, tenant, ConnectorType.FATHOM)
    with database.tenant(tenant) as handle:
        stream_fields.save(handle, tenant, row.id, STREAM.name, StreamFields(shares={"title": 1.0}))
    mappers = mappers_of(database, connector_of(ConnectorType.FATHOM), row, STREAM)
    return FieldWatch(database, SyncRequest(tenant, row.id, ConnectorType.FATHOM), STREAM, mappers)


def _page(records: int, payload: bytes, checkpoint: str | None = "more") -> ReadBatch:
    found = tuple(SourceRecord(str(number), payload, None) for number in range(records))
    return ReadBatch(STREAM, START, Page(found, checkpoint, None if checkpoint else "2026-05-03"))


def _cut(watch: FieldWatch, steps: Sequence[ReadBatch | SliceEnd]) -> list[ReadBatch | SliceEnd]:
    """What is written of a read that ends in an outage behind these steps."""

    def read() -> Iterator[ReadBatch | SliceEnd]:
        yield from steps
        raise Retry("vendor_unavailable", "It is down.")

    written: list[ReadBatch | SliceEnd] = []
    with pytest.raises(Retry):
        written.extend(watch.gathered(read()))  # as far as it comes: extend keeps what it was given
    return written


EMPTY, LAST = _page(3, b'{"title":null}'), _page(0, b"", None)
READ, LEFT_OUT = SliceEnd(STREAM, "a"), SliceEnd(STREAM, "b", Unserved("no_mailbox", "It has none."))


def test_records_that_may_lack_a_hidden_field_wait_and_no_position_passes_them(watch: FieldWatch) -> None:
    """An empty last page moves the position past the records before it, and the end of a slice says it was read."""
    assert _cut(watch, [EMPTY, LAST, READ, LEFT_OUT]) == [LEFT_OUT]


def test_what_is_in_no_doubt_is_written(watch: FieldWatch) -> None:
    filled = _page(1, b'{"title":"Hello"}')
    assert _cut(watch, [EMPTY, filled, LAST, READ]) == [EMPTY, filled, LAST, READ]


def test_pages_without_records_leave_no_doubt(watch: FieldWatch) -> None:
    assert _cut(watch, [LAST, READ]) == [LAST, READ]


def test_once_it_is_told_everything_is_written(watch: FieldWatch) -> None:
    many = _page(RECORDS_NEEDED, b"{}")
    assert _cut(watch, [many, EMPTY]) == [many, EMPTY]
