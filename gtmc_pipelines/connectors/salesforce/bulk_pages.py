"""Reading an object by a Bulk API 2.0 query job: CSV pages as the same JSON records that REST gives."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from gtmc_pipelines.connectors.positions import encode
from gtmc_pipelines.connectors.salesforce.api import BulkPage, FieldInfo, SalesforceSession
from gtmc_pipelines.connectors.salesforce.checkpoint import BulkCheckpoint
from gtmc_pipelines.connectors.salesforce.soql import Selection, literal
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault
from gtmc_pipelines.model.records import Page, RejectedRecord, SourceRecord

PATIENCE = timedelta(hours=2)
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.2, 10.0

_NUMBER_TYPES = frozenset({"int", "double", "currency", "percent", "long"})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NOT_FOR_BULK = frozenset({"forbidden", "insufficient_access"})
"""Refusals of a user that may be of Bulk jobs alone; where they aren't, SOQL tells the same."""

csv.field_size_limit(16 * 1024 * 1024)  # a rich text area may be longer than the module's default


class BulkUnavailable(Exception):
    """This object or job can't be read by Bulk API: read it by SOQL instead."""


class JobGone(Exception):
    """The job of a checkpoint is no longer there: the read has to start again."""


def start_job(session: SalesforceSession, selection: Selection, until: datetime) -> BulkCheckpoint:
    """Start a job over everything before `until` and wait for it.

    Raises BulkUnavailable for whatever reason the job is refused: the vendor has many (API_ERROR, FeatureNotEnabled,
    compound data, …), and SOQL reads the same. A field that is gone is the caller's matter: it describes again.
    """
    try:
        job_id = session.create_query_job(selection.object_name, selection.everything(until))
    except Broken as fault:
        if fault.code == "invalid_field":
            raise
        raise BulkUnavailable from None
    except Reauthorize as fault:
        if fault.code not in _NOT_FOR_BULK:
            raise
        raise BulkUnavailable from None
    _wait(session, selection.object_name, job_id)
    return BulkCheckpoint(job_id, "")


def read_bulk(
    session: SalesforceSession,
    selection: Selection,
    types: dict[str, str],
    until: datetime,
    page_records: int,
    start: BulkCheckpoint,
) -> Iterator[Page]:
    """Pages of a finished job's results from a locator on. Raises JobGone when the first isn't there."""
    locator, seen = start.locator, {start.locator}
    try:
        page = session.job_results(selection.object_name, start.job_id, locator, page_records)
    except SyncFault as fault:
        if fault.code in {"not_found", "query_locator_expired"}:
            raise JobGone from None
        raise
    while True:
        records, rejects = records_of(page, types, selection.stamp)
        fields = frozenset(next(csv.reader(_lines(page.text)), selection.fields))  # the job may be an older read's
        if not page.next_locator:
            yield Page(records, None, literal(until), rejects, fields=fields)
            return
        locator = page.next_locator
        if locator in seen:
            raise Broken("cursor_loop", "Salesforce's Bulk results lead back to a page already read.")
        seen.add(locator)
        yield Page(records, encode(BulkCheckpoint(start.job_id, locator)), rejects=rejects, fields=fields)
        page = session.job_results(selection.object_name, start.job_id, locator, page_records)


def records_of(page: BulkPage, types: dict[str, str], stamp: str) -> tuple[list[SourceRecord], list[RejectedRecord]]:
    """The page's rows as records. `types` are describe's types by field name.

    Raises Retry when rows are missing from what the vendor announced, Broken when the header is not
    a header with Id.
    """
    rows = csv.reader(_lines(page.text))
    header = next(rows, [])
    if not header and page.number_of_records == 0:
        return [], []
    convert = row_converter(header, types, stamp)
    records: list[SourceRecord] = []
    rejects: list[RejectedRecord] = []
    width = len(header)
    try:
        for row in rows:
            record = convert(row) if len(row) == width else _BAD_ROW
            if isinstance(record, SourceRecord):
                records.append(record)
            else:
                rejects.append(record)
    except csv.Error:
        raise _unparsable() from None
    if len(records) + len(rejects) != page.number_of_records:
        raise Retry("page_incomplete", "Salesforce sent fewer or more Bulk rows than it announced.")
    return records, rejects


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends, one at a time: a StringIO would hold four bytes a character."""
    start = 0
    while end := text.find("\n", start) + 1:
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


def row_converter(
    header: Sequence[str], types: dict[str, str], stamp: str
) -> Callable[[list[str]], SourceRecord | RejectedRecord]:
    """A function that makes a CSV row the JSON record REST would give, in the same member order.

    Empty is null, booleans are typed, numbers keep their digits, datetimes end in +0000.
    """
    if "Id" not in header or stamp not in header:
        raise _unparsable()
    names = list(header)
    id_at, stamp_at = names.index("Id"), names.index(stamp)
    deleted_at = names.index("IsDeleted") if "IsDeleted" in names else None
    booleans = [i for i, name in enumerate(names) if types.get(name) == "boolean"]
    datetimes = [i for i, name in enumerate(names) if types.get(name) == "datetime"]
    numbers = [i for i, name in enumerate(names) if types.get(name) in _NUMBER_TYPES]
    encode_record, parse_time, raw, is_number = (
        msgspec.json.encode,
        datetime.fromisoformat,
        msgspec.Raw,
        _NUMBER.fullmatch,
    )

    def convert(row: list[str]) -> SourceRecord | RejectedRecord:
        record_id, changed_at = row[id_at], row[stamp_at]
        if not record_id:
            return _NO_ID
        is_deleted = deleted_at is not None and row[deleted_at] == "true"
        values: list[object] = [value or None for value in row]
        for i in booleans:
            if row[i]:
                values[i] = row[i] == "true"
        for i in datetimes:
            if row[i][-1:] == "Z":
                values[i] = row[i][:-1] + "+0000"
        for i in numbers:
            if row[i] and is_number(row[i]):
                values[i] = raw(row[i])
        try:
            moment = parse_time(changed_at) if changed_at else None
        except ValueError:
            return RejectedRecord(record_id, "malformed_record", "The record's change time has another form.")
        return SourceRecord(record_id, encode_record(dict(zip(names, values, strict=True))), moment, is_deleted)

    return convert


def types_of(fields: Sequence[FieldInfo]) -> dict[str, str]:
    """Describe's types by field name."""
    return {field.name: field.type for field in fields}


def _wait(session: SalesforceSession, object_name: str, job_id: str) -> None:
    """Poll until the job is complete. Raises BulkUnavailable when it failed, Retry when it takes too long."""
    deadline, pause = session.http.clock() + PATIENCE, FIRST_POLL_SECONDS
    while session.http.clock() < deadline:
        state = session.job_state(object_name, job_id)
        if state == "JobComplete":
            return
        if state in {"Failed", "Aborted"}:
            raise BulkUnavailable
        session.http.note_progress()
        session.http.pause(pause)
        pause = min(LONGEST_POLL_SECONDS, pause * 1.5)
    raise Retry("bulk_job_slow", "Salesforce has not finished the Bulk query job in two hours.")


_NO_ID = RejectedRecord(None, "missing_id", "The record has no Id.")
_BAD_ROW = RejectedRecord(None, "malformed_record", "A row has another number of columns than its header.")


def _unparsable() -> Broken:
    return Broken(
        "unparsable_page",
        "Salesforce sent Bulk results that are not the CSV its contract promises.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )
