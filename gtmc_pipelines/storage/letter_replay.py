"""Dead letters tried once more, from what is held of their records: the raw row, or the record in the letter itself.

A record in a letter is newer than its raw row (it could not be landed), unless a later batch has landed the
record again or a sweep found it gone. It is landed now; its hash stays empty, because jsonb no longer has the
vendor's bytes (decision 40), so the next read takes the record as the vendor sends it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg import sql

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.model.records import RowMapper, SourceRecord
from gtmc_pipelines.storage import bookkeeping, sync_logs
from gtmc_pipelines.storage.batch import Batch, BatchPlan, BatchTarget
from gtmc_pipelines.storage.batch_notes import NOTHING, Noted
from gtmc_pipelines.storage.batch_transaction import BatchTransaction
from gtmc_pipelines.storage.batch_writer import ATTEMPTS, BatchWriter
from gtmc_pipelines.storage.dead_letters import NewLetter, kept_bytes
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import UNMAPPED, Prepared
from gtmc_pipelines.storage.renormalize import Rewrite
from gtmc_pipelines.storage.statements import Handle, Row, rows, run

PAGE_RECORDS = 500

_OURS = "tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s"
_STREAMS = """
SELECT DISTINCT stream FROM dead_letters WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s
   AND replayed_at IS NULL AND stage <> 'read' AND reason_code <> 'unstorable_id'
"""
# Least recently tried first. What this very sync has tried, or read, is not tried again by it. No joins, as in
# `landing`: letters come by the thousand between two looks of the planner at its statistics.
_CHOSEN = f"""
SELECT external_id FROM dead_letters
 WHERE {_OURS} AND replayed_at IS NULL AND stage <> 'read' AND reason_code <> 'unstorable_id'
   AND last_seen_at < coalesce(
         (SELECT started_at FROM sync_logs WHERE tenant_id = %(tenant)s AND id = %(sync_log)s), now())
   AND (%(letters)s::bigint[] = '{{}}' OR id = ANY (%(letters)s::bigint[]))
 ORDER BY last_seen_at LIMIT %(limit)s
"""  # noqa: S608 - put together from constants
_KEPT = f"""
SELECT external_id, payload::text AS payload, source_updated_at, deleted, batch_id, last_seen_at, replayed_at
  FROM dead_letters WHERE {_OURS} AND external_id = ANY (%(ids)s) AND stage = 'write' AND payload IS NOT NULL
"""  # noqa: S608 - put together from constants
_RAW = """
SELECT external_id, payload::text AS payload, source_updated_at, deleted, batch_id, extracted_at FROM {raw}
 WHERE tenant_id = %(tenant)s AND external_id = ANY (%(ids)s)
"""
# A worker taken for dead may still be writing this very page: it is waited for, and what it tried is not tried again.
_LOCK = f"""
SELECT external_id, replayed_at IS NULL AND last_seen_at < (
         SELECT started_at FROM sync_logs WHERE tenant_id = %(tenant)s AND id = %(sync_log)s) AS is_waiting
  FROM dead_letters WHERE {_OURS} AND external_id = ANY (%(ids)s) AND stage <> 'read' ORDER BY id FOR UPDATE
"""  # noqa: S608 - put together from constants
# A letter whose record now fails at another stage stays the same letter, where that stage has none yet.
_MOVE = f"""
UPDATE dead_letters d SET stage = n.stage
  FROM unnest(%(ids)s::text[], %(stages)s::text[]) AS n (external_id, stage)
 WHERE {_OURS} AND d.external_id = n.external_id AND d.stage NOT IN (n.stage, 'read') AND d.replayed_at IS NULL
   AND NOT EXISTS (SELECT FROM dead_letters o WHERE o.tenant_id = d.tenant_id AND o.connector_id = d.connector_id
                    AND o.stream = d.stream AND o.external_id = d.external_id AND o.stage = n.stage)
"""  # noqa: S608 - put together from constants
_OTHERS = f"""
UPDATE dead_letters d SET replayed_at = now(), resolution = 'superseded'
  FROM unnest(%(ids)s::text[], %(stages)s::text[]) AS n (external_id, stage)
 WHERE {_OURS} AND d.external_id = n.external_id AND d.stage NOT IN (n.stage, 'read') AND d.replayed_at IS NULL
"""  # noqa: S608 - put together from constants
# Clocks of workers and database may differ a little.
_UNNAMED = f"""
UPDATE dead_letters SET replayed_at = now(), resolution = 'superseded'
 WHERE {_OURS} AND external_id ~ '^[?][0-9]+:[0-9]+$' AND replayed_at IS NULL
   AND last_seen_at < %(before)s::timestamptz - interval '10 minutes'
"""  # noqa: S608 - put together from constants
_FORGET = f"DELETE FROM dead_letters WHERE {_OURS} AND external_id = ANY (%(ids)s)"  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Waiting:
    """Records with open letters: those whose newest version is their raw row, and those a letter keeps.

    Of the records of `gone` (ids) nothing is held any more: raw rows of erased people, for example.
    """

    of_raw: Sequence[SourceRecord] = ()
    kept: Sequence[SourceRecord] = ()
    gone: Sequence[str] = ()

    @property
    def total(self) -> int:
        """How many records there are."""
        return len(self.of_raw) + len(self.kept) + len(self.gone)


@dataclass(frozen=True, slots=True)
class LetterBatch(Batch):
    """Records of one kind, tried again in one transaction.

    The letters of `erased` people (ids; count them as `skipped`) are deleted, those of `gone` records closed.
    With `is_of_sync` those that fail again are left off the sheet: the sync that read them has counted them.
    """

    is_kept: bool = False
    is_of_sync: bool = False
    erased: Sequence[str] = ()
    gone: Sequence[str] = ()


def streams_waiting(handle: Handle, tenant_id: str, connector_id: str) -> frozenset[str]:
    """Streams of a connector with open letters that can be tried again."""
    found = rows(handle, _STREAMS, {"tenant": tenant_id, "connector": connector_id})
    return frozenset(each["stream"] for each in found)


def settle_unnamed(database: Database, target: BatchTarget) -> int:
    """Close letters of records without an id from before a full read, `target`'s, that has come to its end.

    Nothing else can: they have no name to be known by, and the read has met their records again. How many there were.
    """
    with database.tenant(target.tenant_id) as handle:
        return run(handle, _UNNAMED, _key(target) | {"before": target.until})


def waiting_records(
    database: Database, target: BatchTarget, letters: Sequence[int] = (), limit: int = PAGE_RECORDS
) -> Waiting:
    """The next records of the stream that wait, `limit` at most; empty when this sync has tried all.

    `letters` (ids) names the ones that are meant; another letter of the same record is settled with it. In the
    name of no sync (a preview) all wait.
    """
    values = _key(target) | {"sync_log": target.sync_log_id, "letters": list(letters), "limit": limit}
    raw = sql.SQL(_RAW).format(raw=sql.Identifier(*target.stream.raw_table.split(".")))
    with database.tenant(target.tenant_id) as handle:
        ids = list(dict.fromkeys(each["external_id"] for each in rows(handle, _CHOSEN, values)))
        found = rows(
            handle, _KEPT, values | {"ids": ids}
        )  # open or not: by the record's index, not that of all open ones
        kept = {each["external_id"]: each for each in found if each["replayed_at"] is None}
        landed = {each["external_id"]: each for each in rows(handle, raw, values | {"ids": ids})}
    of_letter = {key for key, letter in kept.items() if not _is_overtaken(letter, landed.get(key))}
    return Waiting(
        [_record(landed[key]) for key in ids if key in landed and key not in of_letter],
        [_record(kept[key]) for key in ids if key in of_letter],
        [key for key in ids if key not in landed and key not in of_letter],
    )


def _is_overtaken(letter: Row, raw: Row | None) -> bool:
    """Whether a later batch has landed the record that a letter keeps, or a sweep found it gone."""
    if raw is None:
        return False
    is_swept = raw["deleted"] and raw["extracted_at"] > letter["last_seen_at"]
    return bool(is_swept or (raw["batch_id"] or 0) > (letter["batch_id"] or 0))


def _record(found: Row) -> SourceRecord:
    payload = kept_bytes(found["payload"])
    return SourceRecord(found["external_id"], payload, found["source_updated_at"], found["deleted"])


class _Replay(Rewrite):
    """Records in letters are landed, guarded as any; those that are landed already are only mapped."""

    _batch: LetterBatch

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        plan: BatchPlan,
        batch: Batch,
        prepared: Prepared,
        *,
        isolate: bool,
        noted: Noted = NOTHING,
    ) -> None:
        prepared = replace(prepared, hashes=dict.fromkeys(prepared.hashes, UNMAPPED))
        super().__init__(connection, plan, batch, prepared, isolate=isolate, noted=noted)

    def _keys(self) -> list[str]:
        self._batch, self._prepared = _still_waiting(self._connection, self._plan.target, self._batch, self._prepared)
        self._counts = Counts(read=self._batch.read, skipped=self._batch.skipped)
        return super()._keys()

    def _stored(self, keys: list[str]) -> Collection[str]:
        return self._plan.raw.stored_hashes(self._connection, keys) if self._batch.is_kept else super()._stored(keys)

    def _land(self, ids: list[str]) -> frozenset[str]:
        return BatchTransaction._land(self, ids) if self._batch.is_kept else frozenset()

    def _keep_books(self, open_letters: Collection[str]) -> frozenset[str]:
        if not self._counts.is_balanced:
            name = self._plan.target.stream.name
            raise Broken("sheet_unbalanced", f"A replay of {name} doesn't add up: {self._counts}.")
        target, connection = self._plan.target, self._connection
        _settle(connection, target, self._batch, self._batch_id, self._prepared.newest, self._letters, self._stale)
        self._keep_notes()
        self._counts = _count(connection, target, self._batch, self._counts, self._failed_values)
        return frozenset()


class LetterReplay(BatchWriter):
    """A batch writer whose batches are `LetterBatch`es. No cursor and no position moves: letters remember."""

    transaction: type[BatchTransaction] = _Replay

    def __init__(self, database: Database, target: BatchTarget, mappers: Sequence[RowMapper]) -> None:
        super().__init__(database, target, mappers)
        self._open_letters = set()  # the batch says which they are

    def _dead_letter(self, connection: psycopg.Connection[Any], batch: Batch, prepared: Prepared, cause: str) -> Counts:
        assert isinstance(batch, LetterBatch)
        batch_id, _ = bookkeeping.begin(connection, self._target)
        batch, prepared = _still_waiting(connection, self._target, batch, prepared)
        refused = f"refused {ATTEMPTS} times: {cause}"
        letters = [NewLetter(key, "write", "batch_failed", refused) for key in prepared.newest]
        if batch.is_kept:
            letters = [letter.keeping(prepared.newest[letter.external_id]) for letter in letters]
        _settle(connection, self._target, batch, batch_id, prepared.newest, letters, ())
        counts = Counts(read=batch.read, failed=len(letters), skipped=batch.skipped)
        return _count(connection, self._target, batch, counts)


def _still_waiting(
    connection: psycopg.Connection[Any], target: BatchTarget, batch: LetterBatch, prepared: Prepared
) -> tuple[LetterBatch, Prepared]:
    """What is left of a batch that somebody else may have tried in this sync's name; its letters are locked."""
    ids = [*prepared.newest, *batch.erased]
    found = rows(connection, _LOCK, _key(target) | {"sync_log": target.sync_log_id, "ids": ids})
    waiting = {each["external_id"] for each in found if each["is_waiting"]}
    newest = {key: record for key, record in prepared.newest.items() if key in waiting}
    erased = [key for key in batch.erased if key in waiting]
    batch = replace(batch, records=list(newest.values()), erased=erased, skipped=len(erased))
    return batch, replace(prepared, newest=newest)


def _settle(
    connection: psycopg.Connection[Any],
    target: BatchTarget,
    batch: LetterBatch,
    batch_id: int,
    tried: Iterable[str],
    letters: Sequence[NewLetter],
    stale: Collection[str],
) -> None:
    """Close the letters of what is written or superseded; count up those of what failed again."""
    failed = {letter.external_id: letter.stage for letter in letters}
    tried = list(tried)
    bookkeeping.resolve_letters(connection, target, list(stale) if batch.is_kept else tried, "superseded", "kept")
    fine = [key for key in tried if key not in failed and key not in stale]
    bookkeeping.resolve_letters(connection, target, fine, "written", "replayable")
    if failed:
        stages = _key(target) | {"ids": list(failed), "stages": list(failed.values())}
        run(connection, _MOVE, stages)
        bookkeeping.dead_letter(connection, target, batch_id, letters)
        run(connection, _OTHERS, stages)
    if batch.erased:
        run(connection, _FORGET, _key(target) | {"ids": list(batch.erased)})
    bookkeeping.resolve_letters(connection, target, batch.gone, "gone", "replayable")


def _count(
    connection: psycopg.Connection[Any],
    target: BatchTarget,
    batch: LetterBatch,
    counts: Counts,
    failed_values: int = 0,
) -> Counts:
    if batch.is_of_sync:
        counts = replace(counts, read=counts.read - counts.failed, failed=0)
    name = target.stream.name
    sync_logs.add_counts(
        connection,
        target.tenant_id,
        target.sync_log_id,
        name,
        counts,
        phase=Phase.WRITING,
        failed_values=failed_values,
    )
    return counts


def _key(target: BatchTarget) -> dict[str, Any]:
    return {"tenant": target.tenant_id, "connector": target.connector_id, "stream": target.stream.name}
