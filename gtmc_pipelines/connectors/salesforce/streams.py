"""Salesforce's streams: which object and fields each reads, and which way it is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.connectors.positions import damaged_watermark, watermark_of
from gtmc_pipelines.connectors.salesforce import checkpoint as checkpoints
from gtmc_pipelines.connectors.salesforce.api import FieldInfo, SalesforceSession
from gtmc_pipelines.connectors.salesforce.bulk_pages import (
    BulkUnavailable,
    JobGone,
    read_bulk,
    start_job,
    types_of,
)
from gtmc_pipelines.connectors.salesforce.rest_pages import TOO_HEAVY, read_rest
from gtmc_pipelines.connectors.salesforce.soql import Selection, is_name, literal
from gtmc_pipelines.connectors.salesforce.whole_records import answer_of
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.model.records import Page, ReadFrom

DEFAULT_BULK_THRESHOLD = 50_000
DEFAULT_PAGE_RECORDS = 2_000
DEFAULT_BULK_PAGE_RECORDS = 5_000  # about 5 MB of contacts; a page is held some four times over while it is taken apart
MOST_VALUES = 400_000  # of a page: records times fields

_STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
_NOT_SELECTABLE = frozenset({"address", "location", "base64", "complexvalue"})


OBJECTS = {
    "accounts": "Account",
    "contacts": "Contact",
    "leads": "Lead",
    "opportunities": "Opportunity",
    "tasks": "Task",
    "events": "Event",
}

FREE_TEXT = frozenset({("tasks", "Description"), ("events", "Description")})
"""What people write into tasks and events stays at the vendor; their custom fields are the administrator's choice."""


def selected_fields(stream: str, described: tuple[FieldInfo, ...]) -> tuple[FieldInfo, ...]:
    """Fields a sync reads: every one this user may see, but compound and base64 ones and free text of activities.

    What tells a record and its moment comes first, the rest in the vendor's order.
    """
    offered = {
        f.name: f
        for f in described
        if f.type not in _NOT_SELECTABLE and is_name(f.name) and (stream, f.name) not in FREE_TEXT
    }
    first = [offered[name] for name in ("Id", "IsDeleted", *_STAMPS) if name in offered]
    return (*first, *(field for field in offered.values() if field not in first))


def selection_of(stream: str, fields: tuple[FieldInfo, ...]) -> Selection:
    """The query's select list. Raises Broken when the object has no Id or no time to read it by."""
    names = tuple(field.name for field in fields)
    stamp = next((name for name in _STAMPS if name in names), None)
    if stamp is None or "Id" not in names:
        raise Broken(
            "object_not_readable",
            f"This Salesforce user can't see the system fields of {OBJECTS[stream]}.",
            next_step="Give the connecting user read access to the object, then sync again.",
        )
    return Selection(OBJECTS[stream], names, stamp)


def read_stream(session: SalesforceSession, stream: str, start: ReadFrom) -> Iterator[Page]:
    """Pages of a stream. A field removed since it was described costs one more description, not the sync."""
    reader = _Reader(session, stream, start)
    yielded = False
    try:
        for page in reader.pages():
            yielded = True
            yield page
        return
    except Broken as fault:
        if fault.code != "invalid_field" or yielded:
            raise
    yield from _Reader(session, stream, start, is_fresh=True).pages()


@dataclass
class _Reader:
    """One read of one stream."""

    session: SalesforceSession
    stream: str
    start: ReadFrom
    is_fresh: bool = False

    def __post_init__(self) -> None:
        described = self.session.describe(OBJECTS[self.stream], fresh=self.is_fresh)
        fields = selected_fields(self.stream, described)
        self.types = types_of(fields)
        self.selection = selection_of(self.stream, fields)

    def pages(self) -> Iterator[Page]:
        """From the checkpoint if there is one, else from the beginning, the cheaper way."""
        checkpoint = checkpoints.decode(self.start.checkpoint) if self.start.checkpoint else None
        if isinstance(checkpoint, checkpoints.RestCheckpoint):
            yield from self._by_rest(checkpoint)
            return
        if checkpoint is None and not self._is_bulk_worthwhile():
            yield from self._by_rest(None)
            return
        yield from self._by_bulk(checkpoint)

    def _by_bulk(self, checkpoint: checkpoints.BulkCheckpoint | None) -> Iterator[Page]:
        if checkpoint is not None:
            with suppress(JobGone):  # jobs are kept for a week; after that everything is read again
                yield from self._results(checkpoint)
                return
        try:
            job = start_job(self.session, self.selection, self.start.until)
        except BulkUnavailable:
            yield from self._by_rest(None)
            return
        try:
            yield from self._results(job)
        except JobGone:
            raise Retry("bulk_job_gone", "Salesforce dropped the results of a Bulk job.") from None

    def _results(self, job: checkpoints.BulkCheckpoint) -> Iterator[Page]:
        page_records = self._page_records("bulk_page_records", DEFAULT_BULK_PAGE_RECORDS)
        return read_bulk(self.session, self.selection, self.types, self.start.until, page_records, job)

    def _by_rest(self, checkpoint: checkpoints.RestCheckpoint | None) -> Iterator[Page]:
        page_records = self._page_records("page_records", DEFAULT_PAGE_RECORDS)
        return read_rest(self.session, self.selection, self._lower(), self.start.until, page_records, checkpoint)

    def _lower(self) -> datetime | None:
        """Start of the window: the watermark less the overlap, for rows that were committed late."""
        watermark = watermark_of(self.start)
        if watermark is None:
            return None
        try:
            return datetime.fromisoformat(literal(watermark)) - self.session.settings.overlap
        except ValueError:
            raise damaged_watermark() from None

    def _is_bulk_worthwhile(self) -> bool:
        if self._lower() is not None:
            return False
        threshold = self._option("bulk_threshold", DEFAULT_BULK_THRESHOLD)
        if threshold <= 0:
            return True
        try:
            counted = answer_of(self.session.query(self.selection.count(self.start.until)))
        except (Retry, Broken) as fault:
            if fault.code not in TOO_HEAVY:
                raise
            return True  # too many to count in time
        return counted.total_size > threshold

    def _page_records(self, name: str, default: int) -> int:
        """As set, but never more than a page of wide records may hold in memory."""
        return min(self._option(name, default), max(200, MOST_VALUES // len(self.selection.fields)))

    def _option(self, name: str, default: int) -> int:
        value = self.session.settings.options.get(name)
        return default if value is None else int(value)
