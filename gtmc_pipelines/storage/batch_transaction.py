"""One batch, one transaction: rows, dead letters, counts and checkpoint live or die together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import psycopg

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken, Reject
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage import bookkeeping, copy_text
from gtmc_pipelines.storage.batch import Batch, BatchPlan
from gtmc_pipelines.storage.canonical import Moments
from gtmc_pipelines.storage.dead_letters import NewLetter
from gtmc_pipelines.storage.landing import UNMAPPED, Prepared
from gtmc_pipelines.storage.staging import Fate, stage_line
from gtmc_pipelines.storage.write_errors import describe, is_of_a_record

_PART_RECORDS = 2_000  # staged at a time: a large page of a vendor must not be held twice
_TOMBSTONE = b"{}"


class _Staged(NamedTuple):
    record: SourceRecord
    fate: Fate
    line: bytes
    letter: NewLetter | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed batch did: ids it left as dead letters, ids whose letters it closed."""

    counts: Counts
    letters: frozenset[str] = frozenset()
    resolved: frozenset[str] = frozenset()


class BatchTransaction:
    """One attempt at writing one batch. The caller begins and ends the transaction.

    With `isolate`, records are written in parts under savepoints, so that a value PostgreSQL refuses
    costs its own record only; without it such a refusal ends the attempt.
    """

    is_of_raw = False  # True: the records come from the raw extract, not from the vendor

    def __init__(
        self, connection: psycopg.Connection[Any], plan: BatchPlan, batch: Batch, prepared: Prepared, *, isolate: bool
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._batch = batch
        self._prepared = prepared
        self._isolate = isolate
        self._batch_id = 0
        self.transaction_id = ""
        self._is_stage_used = False
        self._counts = Counts(read=batch.read, skipped=batch.skipped + prepared.repeated)
        self._letters: list[NewLetter] = []
        self._landed: set[str] = set()
        self._stale: set[str] = set()

    def run(self, open_letters: Collection[str]) -> Written:
        """Write everything; `open_letters` are the ids that wait as dead letters.

        Raises psycopg.Error, the lease's error, or Broken `sheet_unbalanced`.
        """
        target, connection = self._plan.target, self._connection
        self._batch_id, self.transaction_id = bookkeeping.begin(connection, target)
        stored = self._plan.raw.stored_hashes(connection, list(self._prepared.newest))
        changed = [key for key, digest in self._prepared.hashes.items() if stored.get(key) != digest]
        self._add(unchanged=len(self._prepared.newest) - len(changed))
        if changed:
            self._plan.stage.make(connection)
        for start in range(0, len(changed), _PART_RECORDS):
            self._write([self._staged(key, key in stored) for key in changed[start : start + _PART_RECORDS]])
        self._letters += bookkeeping.letters_of_unlandable(self._batch, self._prepared, self._batch_id)
        self._add(failed=len(self._letters))
        resolved = self._keep_books(open_letters)
        return Written(self._counts, frozenset(letter.external_id for letter in self._letters), resolved)

    def _keep_books(self, open_letters: Collection[str]) -> frozenset[str]:
        """Dead letters, marks, counts, checkpoint; gives the ids whose letters were closed."""
        target, connection = self._plan.target, self._connection
        if not self._counts.is_balanced:
            raise Broken("sheet_unbalanced", f"A batch of {target.stream.name} doesn't add up: {self._counts}.")
        not_fine = {letter.external_id for letter in self._letters} | self._stale
        unlanded = [key for key in self._prepared.newest if key not in self._landed]
        bookkeeping.mark_seen(connection, target, self._batch, unlanded)
        bookkeeping.dead_letter(connection, target, self._batch_id, self._letters, is_of_raw=self.is_of_raw)
        fine = frozenset(key for key in open_letters if key in self._prepared.newest and key not in not_fine)
        bookkeeping.resolve_letters(connection, target, list(fine), kind="of_raw" if self.is_of_raw else "any")
        self._close()
        return fine

    def _close(self) -> None:
        """Keep the checkpoint and add the counts to the sync's sheet."""
        bookkeeping.close(self._connection, self._plan.target, self._batch, self._counts)

    def _staged(self, key: str, is_stored: bool) -> _Staged:
        record, digest = self._prepared.newest[key], self._prepared.hashes[key]
        if record.is_deleted:
            # Nothing of a record that was deleted before we ever had it is kept, but that it is gone.
            payload = record.payload if is_stored else _TOMBSTONE
            return self._unmapped(record, Fate.DELETED, digest, payload)
        try:
            texts = [text for mapper in self._plan.mappers for text in mapper.texts(record.payload)]
            line = stage_line(record, digest, Fate.MAPPED, copy_text.join(texts), record.payload)
        except Reject as reject:
            return self._unmapped(record, Fate.REJECTED, UNMAPPED, record.payload, bookkeeping.rejected(key, reject))
        except UnicodeEncodeError:
            letter = NewLetter(key, "write", "unstorable", "a mapped text is not valid Unicode")
            return self._unmapped(record, Fate.REJECTED, UNMAPPED, record.payload, letter)
        return _Staged(record, Fate.MAPPED, line)

    def _unmapped(
        self, record: SourceRecord, fate: Fate, digest: bytes, payload: bytes, letter: NewLetter | None = None
    ) -> _Staged:
        return _Staged(record, fate, stage_line(record, digest, fate, self._plan.stage.unmapped, payload), letter)

    def _write(self, part: Sequence[_Staged]) -> None:
        """Write a part; when isolating, halve what is refused until the record to blame stands alone."""
        if not self._isolate:
            self._store(part)
            return
        before = self._counts, len(self._letters)
        try:
            with self._connection.transaction():
                self._store(part)
            return
        except psycopg.Error as error:
            if not is_of_a_record(error):
                raise
            cause = describe(error)
        self._counts = before[0]
        del self._letters[before[1] :]
        ids = {staged.record.external_id for staged in part}
        self._landed -= ids
        self._stale -= ids
        if len(part) == 1:
            self._set_aside(part[0], cause)
        else:
            middle = len(part) // 2
            self._write(part[:middle])
            self._write(part[middle:])

    def _set_aside(self, staged: _Staged, cause: str) -> None:
        """Dead-letter one record; its payload is landed all the same where that is possible."""
        record = staged.record
        letter = NewLetter(record.external_id, "write", "unstorable", cause)
        if staged.fate is Fate.MAPPED:
            bare = self._unmapped(record, Fate.REJECTED, UNMAPPED, record.payload, letter)
            try:
                with self._connection.transaction():
                    self._store([bare])
                return
            except psycopg.Error as error:
                if not is_of_a_record(error):
                    raise
        self._letters.append(letter.keeping(record))

    def _store(self, part: Sequence[_Staged]) -> None:
        """Land a part and bring its canonical rows up to date."""
        plan, connection = self._plan, self._connection
        if self._is_stage_used:
            plan.stage.clear(connection)
        self._is_stage_used = True
        plan.stage.fill(connection, [staged.line for staged in part])
        ids = [staged.record.external_id for staged in part]
        stale = self._land(ids)
        self._landed.update(key for key in ids if key not in stale)
        self._stale.update(stale)
        self._add(skipped=len(stale))
        fresh = [staged for staged in part if staged.record.external_id not in stale] if stale else part
        self._letters += [staged.letter for staged in fresh if staged.letter is not None]
        self._upsert(_moments(fresh, Fate.MAPPED), stale)
        self._delete(_moments(fresh, Fate.DELETED))

    def _land(self, ids: list[str]) -> frozenset[str]:
        """Write the staged records to the raw extract; ids of those older than what it has."""
        return self._plan.raw.land(self._connection, ids, self._plan.target.sync_log_id, self._batch_id)

    def _upsert(self, mapped: Moments, stale: frozenset[str]) -> None:
        if not mapped:
            return
        primary, *_ = [table.upsert(self._connection, mapped, stale) for table in self._plan.canonical]
        equal = len(mapped) - primary.created - primary.updated - primary.stale
        self._add(created=primary.created, updated=primary.updated, skipped=primary.stale, unchanged=equal)

    def _delete(self, deletions: Moments) -> None:
        if not deletions:
            return
        primary, *_ = [table.delete(self._connection, deletions) for table in self._plan.canonical]
        self._add(deleted=primary.deleted, unchanged=primary.already, skipped=primary.passed_over)

    def _add(self, **numbers: int) -> None:
        self._counts = replace(
            self._counts, **{name: getattr(self._counts, name) + number for name, number in numbers.items()}
        )


def _moments(part: Sequence[_Staged], fate: Fate) -> Moments:
    return {s.record.external_id: s.record.source_updated_at for s in part if s.fate is fate}
