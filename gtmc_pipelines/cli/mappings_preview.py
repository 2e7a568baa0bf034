"""What a mapping would change: every raw row of an entity, mapped and compared with the row that is stored.

Compares as the write path does, so that the tallies are what applying the mapping then does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gtmc_pipelines.cli.mappings_scope import Scope
from gtmc_pipelines.mapping.compile import CompiledMapping
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.canonical_rows import CanonicalRow, stored_rows
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.planned_records import horizon_text, is_planned
from gtmc_pipelines.storage.renormalize import PAGE_RECORDS, raw_page


@dataclass(frozen=True, slots=True)
class Change:
    """One row that would change: old and new values of the columns that differ; a new row has no old ones."""

    external_id: str
    stream: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    is_new: bool = False


@dataclass(slots=True)
class Tally:
    """Numbers of raw rows by what would become of them; the first few changes; rejects by code and field.

    `failed` are optional values whose columns would be empty, by column, code and field.
    """

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0  # the stored row is newer, or the vendor deleted the record
    left_out: int = 0  # by the mapping's `skip`, or because the activity's time is still to come
    deleted: int = 0  # left out, too, and there is a row, which would be marked as deleted
    rejected: int = 0
    failed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    rejects: Counter[tuple[str, str]] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    samples: list[Change] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Rows that would be written."""
        return self.created + self.updated + self.deleted

    def counts(self) -> dict[str, int]:
        """The numbers by name."""
        names = ("read", "created", "updated", "unchanged", "deleted", "left_out", "skipped", "rejected")
        return {name: getattr(self, name) for name in names}


def preview(
    database: Database,
    scope: Scope,
    entity: Entity,
    entries: Sequence[MappingEntry] | None,
    *,
    limit: int,
    tell: Callable[[int], None],
) -> Tally:
    """Map all raw rows of an entity with `entries` (None: those in force); `tell` hears how many were read.

    Only reads, a page of raw rows at a time. Raises Misuse for a mapping that can't be compiled.
    """
    tally = Tally()
    compiled = [(stream, scope.compiled(entity, stream, entries)) for stream in scope.streams(entity)]
    for stream, mapper in compiled:
        for page in _pages(database, scope.row.tenant_id, stream):
            _compare(database, scope, stream, mapper, page, tally, limit)
            tell(tally.read)
    return tally


def _pages(database: Database, tenant_id: str, stream: Stream) -> Iterator[list[SourceRecord]]:
    after: str | None = ""
    while after is not None:
        page = raw_page(database, tenant_id, stream, after)
        yield page
        after = page[-1].external_id if len(page) == PAGE_RECORDS else None


def _compare(
    database: Database,
    scope: Scope,
    stream: Stream,
    mapper: CompiledMapping,
    page: Sequence[SourceRecord],
    tally: Tally,
    limit: int,
) -> None:
    ids = [mapper.external_id_prefix + record.external_id for record in page]
    source = scope.row.type.value
    columns = [field.column for field in ENTITIES[mapper.entity].fields]
    horizon = horizon_text(datetime.now(UTC))
    stored = stored_rows(database, scope.row.tenant_id, mapper.table, source, ids, columns)
    for external_id, record in zip(ids, page, strict=True):
        tally.read += 1
        if record.is_deleted:
            tally.skipped += 1
            continue
        try:
            texts, failed = mapper.read(record.payload)
        except Reject as reject:
            tally.rejected += 1
            tally.rejects[reject.code, reject.field] += 1
            continue
        if texts is None or is_planned(mapper, texts, horizon):
            _leave_out(stored.get(external_id), tally)
            continue
        tally.failed.update(failed)
        values = dict.fromkeys(columns) | mapper.parsed(texts)  # what no entry fills is emptied
        change = _change(external_id, stream, record, values, stored.get(external_id), tally)
        if change is not None and len(tally.samples) < limit:
            tally.samples.append(change)


def _leave_out(row: CanonicalRow | None, tally: Tally) -> None:
    if row is None or row.is_deleted:
        tally.left_out += 1
    else:
        tally.deleted += 1


def _change(
    external_id: str,
    stream: Stream,
    record: SourceRecord,
    values: dict[str, Any],
    row: CanonicalRow | None,
    tally: Tally,
) -> Change | None:
    if row is None:
        tally.created += 1
        return Change(external_id, stream.name, {}, {name: v for name, v in values.items() if v is not None}, True)
    at, stored_at = record.source_updated_at, row.source_updated_at
    if at is not None and stored_at is not None and stored_at > at:
        tally.skipped += 1
        return None
    differing = [name for name, value in values.items() if not is_same(row.values[name], value)]
    if not differing and not row.is_deleted and at in (None, stored_at):
        tally.unchanged += 1
        return None
    tally.updated += 1
    tally.columns.update(differing)
    old = {name: row.values[name] for name in differing}
    return Change(external_id, stream.name, old, {name: values[name] for name in differing})


def is_same(left: Any, right: Any) -> bool:
    """Whether PostgreSQL calls two values equal: 1 is 1.0, but true is not 1, not even inside JSON."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same, left, right))
    return bool(left == right)
