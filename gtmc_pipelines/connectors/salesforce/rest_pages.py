"""Reading an object by SOQL: pages of queryAll in reading order, resumable after every one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from gtmc_pipelines.connectors.json_pages import UNREADABLE
from gtmc_pipelines.connectors.positions import encode
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession
from gtmc_pipelines.connectors.salesforce.checkpoint import RestCheckpoint, checked_next_path
from gtmc_pipelines.connectors.salesforce.composite import MOST_SOQL_CHARACTERS
from gtmc_pipelines.connectors.salesforce.soql import Position, Selection, literal
from gtmc_pipelines.connectors.salesforce.whole_records import TOO_COMPLICATED, Answer, WholeRecords, answer_of
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.model.records import Page, RejectedRecord, SourceRecord

FIRST_LIMIT, SMALLEST_LIMIT = 8_000, 250
TOO_HEAVY = frozenset({"query_timeout", "operation_too_large"})
"""Refusals of a query of which a smaller piece may be served."""
_ATTRIBUTES = b'{"attributes":'


class _Head(msgspec.Struct):
    """What has to be known of a record before it is mapped."""

    Id: str
    attributes: msgspec.Raw = msgspec.Raw(b"")
    IsDeleted: bool | None = None
    SystemModstamp: str | None = None
    LastModifiedDate: str | None = None
    CreatedDate: str | None = None


_HEAD = msgspec.json.Decoder(_Head)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_rest(
    session: SalesforceSession,
    selection: Selection,
    lower: datetime | None,
    until: datetime,
    page_records: int,
    start: RestCheckpoint | None = None,
) -> Iterator[Page]:
    """Pages of the window [lower, until), from a checkpoint of this very read if there is one."""
    walk = _Walk(session, selection, lower, until, page_records, start or RestCheckpoint())
    while not walk.is_done:
        yield walk.page()


@dataclass(slots=True)
class _Walk:
    """A walk along a query's pages.

    Its cursor may expire (then it is asked again from the last record's position), a query the vendor
    finds too heavy is asked again in ever smaller pieces, and one with too many fields in ever more parts.
    """

    session: SalesforceSession
    selection: Selection
    lower: datetime | None
    until: datetime
    page_records: int
    at: RestCheckpoint
    is_done: bool = False
    seen: set[str] = field(default_factory=set)
    stalled: set[str] = field(default_factory=set)

    def page(self) -> Page:
        """The next page; its checkpoint is where the walk goes on."""
        answer = answer_of(self._body())
        records, rejects = records_of(answer.records)
        next_path = None if answer.done else self._next(answer)
        before, position = self.at.position, _last_position(records) or self.at.position
        raws, skipped = answer.records, 0
        if self.at.parts > 1:
            reader = WholeRecords(self.session, self.selection, self.page_records)
            raws, skipped = reader.completed(answer.records, self.at.parts)
            records, rejects = records_of(raws)
        self.at = RestCheckpoint(
            next_path,
            position.stamp if position else None,
            position.record_id if position else "",
            self.at.limit,
            self.at.parts,
        )
        piece_ended = next_path is None and self.at.limit is not None and bool(answer.records)
        if piece_ended and position == before:
            raise _loop()
        self.is_done = next_path is None and not piece_ended
        fields = self._fields(raws)
        if self.is_done:
            return Page(records, None, literal(self.until), rejects, skipped, fields)
        return Page(records, encode(self.at), None, rejects, skipped, fields)

    def _fields(self, raws: list[msgspec.Raw]) -> frozenset[str]:
        """What the records have: a cursor begun earlier has an earlier select list. Without records, what is asked."""
        with suppress(*UNREADABLE, IndexError):
            return frozenset(_MEMBERS.decode(raws[0])) - {"attributes"}
        return frozenset(self.selection.fields)

    def _body(self) -> bytes:
        while True:
            try:
                if self.at.next_path:
                    return self.session.query_more(self.at.next_path, page_records=self.page_records)
                return self.session.query(self._soql(), page_records=self.page_records)
            except (Retry, Broken) as fault:
                self.at = self._lighter(fault)

    def _lighter(self, fault: Retry | Broken) -> RestCheckpoint:
        """Where to ask again, for less at once; or the fault when asking again doesn't help."""
        if fault.code == TOO_COMPLICATED and not self.at.next_path and self.at.parts < len(self.selection.fields):
            return msgspec.structs.replace(self.at, parts=self.at.parts * 2)
        return msgspec.structs.replace(self.at, next_path=None, limit=self._smaller(fault))

    def _soql(self) -> str:
        """The query that goes on after the last record; of the first part when the select list is too long."""
        while True:
            part = self.selection if self.at.parts == 1 else self.selection.part(0, self.at.parts)
            soql = part.window(self.lower, self.until, self.at.position, self.at.limit)
            if len(soql) <= MOST_SOQL_CHARACTERS:
                return soql
            self.at = msgspec.structs.replace(self.at, parts=self.at.parts * 2)

    def _smaller(self, fault: Retry | Broken) -> int | None:
        """The limit to ask again with, or the fault when asking again doesn't help."""
        if fault.code == "query_locator_expired" and self.at.next_path:
            return self.at.limit
        if fault.code in TOO_HEAVY and self.at.limit != SMALLEST_LIMIT:
            return FIRST_LIMIT if self.at.limit is None else max(SMALLEST_LIMIT, self.at.limit // 2)
        raise fault

    def _next(self, answer: Answer) -> str:
        if not answer.next_path:
            raise Broken("no_next_link", "Salesforce says there is more, but not where.", next_step="Sync again.")
        path = checked_next_path(answer.next_path)
        is_stalled = not answer.records and path not in self.stalled  # nothing yet: asking again is fine, once
        if is_stalled:
            self.stalled.add(path)
        elif path == self.at.next_path or path in self.seen:
            raise _loop()
        self.seen.add(path)
        return path


def records_of(raws: list[msgspec.Raw]) -> tuple[list[SourceRecord], list[RejectedRecord]]:
    """Records with their own bytes less `attributes`; those without id or shape are rejected."""
    records: list[SourceRecord] = []
    rejects: list[RejectedRecord] = []
    decode_head, parse_time = _HEAD.decode, datetime.fromisoformat
    for raw in raws:
        data = bytes(raw)
        try:
            head = decode_head(data)
            stamp = head.SystemModstamp or head.LastModifiedDate or head.CreatedDate
            changed_at = parse_time(stamp) if stamp else None
            payload = _without_attributes(data, head)
        except (*UNREADABLE, ValueError):
            rejects.append(_rejected(data))
            continue
        if not head.Id:
            rejects.append(RejectedRecord(None, "missing_id", "The record has no Id."))
            continue
        records.append(SourceRecord(head.Id, payload, changed_at, head.IsDeleted is True))
    return records, rejects


def _without_attributes(data: bytes, head: _Head) -> bytes:
    attributes = bytes(head.attributes)
    if not attributes:
        return data
    end = len(_ATTRIBUTES) + len(attributes)
    if data.startswith(_ATTRIBUTES) and data[end : end + 1] == b",":
        return b"{" + data[end + 1 :]
    members = _MEMBERS.decode(data)
    del members["attributes"]
    return msgspec.json.encode(members)


def _rejected(data: bytes) -> RejectedRecord:
    try:
        members = _MEMBERS.decode(data)
        record_id = msgspec.json.decode(members.get("Id", msgspec.Raw(b"null")), type=str)
    except msgspec.ValidationError:
        is_object = data.lstrip()[:1] == b"{"
        if is_object:
            return RejectedRecord(None, "missing_id", "The record has no Id.")
        return RejectedRecord(None, "not_an_object", "The record is not an object.")
    except UNREADABLE:
        return RejectedRecord(None, "malformed_record", "The record is not valid JSON.")
    return RejectedRecord(record_id, "malformed_record", "A system field of the record has another type or form.")


def _last_position(records: list[SourceRecord]) -> Position | None:
    last = records[-1] if records else None
    return Position(last.source_updated_at, last.external_id) if last and last.source_updated_at else None


def _loop() -> Broken:
    return Broken(
        "cursor_loop",
        "Salesforce's pages lead back to one already read, so the read was stopped.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )
