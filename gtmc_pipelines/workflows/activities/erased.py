"""Erased people stay erased: their records are left out before landing, and shared records lose them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.model.records import Page, RejectedRecord, RowMapper, SourceRecord
from gtmc_pipelines.storage.tombstones import Tombstones
from gtmc_pipelines.vault.erasure import Marks, is_about, mentions, parsed, without, written

_PERSON_COLUMNS = {
    Entity.PERSON: ("email",),
    Entity.ACTIVITY: ("person_external_id",),
    Entity.INTENT_SIGNAL: ("person_email", "person_id"),
}


def without_erased(page: Page, stream: Stream, mapper: RowMapper, tombstones: Tombstones) -> Page:
    """The page as if the vendor had never known the erased people; their own records count as skipped.

    `mapper` is that of the stream's primary entity, and says whose record it is.
    """
    guard = _Guard(stream, mapper, tombstones)
    records = [kept for record in page.records if (kept := guard.kept(record)) is not None]
    rejects = [reject for reject in page.rejects if not guard.is_of_erased(reject)]
    gone = len(page.records) + len(page.rejects) - len(records) - len(rejects)
    return replace(page, records=records, rejects=rejects, skipped=page.skipped + gone)


class _Guard:
    def __init__(self, stream: Stream, mapper: RowMapper, tombstones: Tombstones) -> None:
        self._entity = stream.entities[0]
        self._source = stream.connector.value
        self._mapper = mapper
        self._tombstones = tombstones
        self._marks: Marks = tombstones.marks(self._source)

    def kept(self, record: SourceRecord) -> SourceRecord | None:
        """The record, without erased people where it mentions any, or None when it is one of theirs."""
        if self._is_theirs(record.external_id):
            return None
        try:
            return self._judged(record)
        except (ValueError, RecursionError):  # what is no JSON becomes a dead letter, bytes and all
            return None if self._marks.is_in(record.payload.decode("utf-8", "replace")) else record

    def _judged(self, record: SourceRecord) -> SourceRecord | None:
        document = parsed(record.payload.decode())
        if not mentions(document, self._marks):
            return record
        masked = without(document, self._marks)
        if self._is_own(record.payload, document) or mentions(masked, self._marks):
            return None
        return replace(record, payload=written(masked).encode("utf-8", "replace"))

    def is_of_erased(self, reject: RejectedRecord) -> bool:
        """Whether a record that can't be landed has an erased person's id."""
        return reject.external_id is not None and self._is_theirs(reject.external_id)

    def _is_theirs(self, external_id: str) -> bool:
        is_person = self._entity is Entity.PERSON
        return (is_person and self._tombstones.is_id(self._source, external_id)) or self._marks.is_in(external_id)

    def _is_own(self, payload: bytes, document: Any) -> bool:
        if self._entity is Entity.PERSON and is_about(document, self._marks):
            return True
        wanted = _PERSON_COLUMNS.get(self._entity, ())
        return any(self._is_person(value) for value in _values(self._mapper, payload, wanted))

    def _is_person(self, value: str) -> bool:
        return self._marks.is_whole(value) or self._tombstones.is_id(self._source, value)


def _values(mapper: RowMapper, payload: bytes, columns: Sequence[str]) -> list[str]:
    """What the mapping makes of these columns; nothing when the record can't become a row."""
    try:
        texts = dict(zip(mapper.columns, mapper.texts(payload), strict=True))
    except Reject:
        return []
    return [value for column in columns if (value := texts.get(column)) is not None]
