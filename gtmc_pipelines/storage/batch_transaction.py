"""One batch, one transaction: rows, dead letters, counts and checkpoint live or die together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from gtmc_pipelines.model import cpu_budget
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken, Reject
from gtmc_pipelines.model.records import FailedValue, SourceRecord
from gtmc_pipelines.model.unreadable import shallow
from gtmc_pipelines.storage import bookkeeping, copy_text
from gtmc_pipelines.storage.batch import Batch, BatchPlan
from gtmc_pipelines.storage.batch_notes import NOTHING, Noted, Notes
from gtmc_pipelines.storage.canonical import CanonicalTable, Moments, Upserted
from gtmc_pipelines.storage.dead_letters import NewLetter
from gtmc_pipelines.storage.landable import landable
from gtmc_pipelines.storage.landing import UNMAPPED, Prepared
from gtmc_pipelines.storage.planned_records import horizon_text
from gtmc_pipelines.storage.staging import Fate, stage_line
from gtmc_pipelines.storage.write_errors import describe, is_of_a_record

_PART_RECORDS = 2_000  # staged at a time: a large page of a vendor must not be held twice
_TOMBSTONE = b"{}"
_NONE: frozenset[tuple[int, str]] = frozenset()


class _Staged(NamedTuple):
    record: SourceRecord
    fate: Fate
    line: bytes
    letter: NewLetter | None = None
    cells: _Cells | None = None


@dataclass(slots=True)
class _Cells:
    """What the mappers make of a record: its cells of the stage, what failed, who leaves it out, when it is due."""

    texts: list[str | None]
    failed: list[tuple[str, FailedValue]]
    left_out: list[int]
    due: str | None = None

    @property
    def is_noteworthy(self) -> bool:
        """False for most records: nothing of them is kept then but their line."""
        return bool(self.failed or self.left_out)


@dataclass(frozen=True, slots=True)
class Written:
    """What a committed batch did: ids it left as dead letters, ids whose letters it closed."""

    counts: Counts
    letters: frozenset[str] = frozenset()
    resolved: frozenset[str] = frozenset()
    noted: Noted = NOTHING


class BatchTransaction:
    """One attempt at writing one batch. The caller begins and ends the transaction.

    With `isolate`, records are written in parts under savepoints, so that a value PostgreSQL refuses
    costs itself only, or its own record where its column is required; without it such a refusal ends the
    attempt. `noted` is what is noted of the stream already.
    """

    is_of_raw = False  # True: the records come from the raw extract, not from the vendor

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
        self._connection = connection
        self._plan = plan
        self._batch = batch
        self._prepared = prepared
        self._isolate = isolate
        self._noted = noted
        self._notes = Notes()
        self._horizon = horizon_text(datetime.now(UTC))
        self._suspects: list[frozenset[tuple[int, str]]] = []
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
        with cpu_budget.limited():
            for start in range(0, len(changed), _PART_RECORDS):
                self._write([self._staged(key, key in stored) for key in changed[start : start + _PART_RECORDS]])
        self._letters += bookkeeping.letters_of_unlandable(self._batch, self._prepared, self._batch_id)
        self._add(failed=len(self._letters))
        resolved = self._keep_books(open_letters)
        return self._written(resolved)

    def _written(self, resolved: frozenset[str]) -> Written:
        letters = frozenset(letter.external_id for letter in self._letters)
        return Written(self._counts, letters, resolved, self._notes.noted)

    @property
    def _failed_values(self) -> int:
        return self._notes.failed_values

    def _keep_notes(self) -> None:
        """Failed values and planned records of what has been written."""
        written = self._landed - {letter.external_id for letter in self._letters}
        self._notes.keep(self._connection, self._plan.target, self._batch_id, self._noted, written)

    def _keep_books(self, open_letters: Collection[str]) -> frozenset[str]:
        """Dead letters, marks, counts, checkpoint; gives the ids whose letters were closed."""
        target, connection = self._plan.target, self._connection
        if not self._counts.is_balanced:
            raise Broken("sheet_unbalanced", f"A batch of {target.stream.name} doesn't add up: {self._counts}.")
        not_fine = {letter.external_id for letter in self._letters} | self._stale
        unlanded = [key for key in self._prepared.newest if key not in self._landed]
        bookkeeping.mark_seen(connection, target, self._batch, unlanded)
        if not self.is_of_raw:
            self._plan.raw.place(connection, unlanded, self._shared(unlanded))
        bookkeeping.dead_letter(connection, target, self._batch_id, self._letters, is_of_raw=self.is_of_raw)
        fine = frozenset(key for key in open_letters if key in self._prepared.newest and key not in not_fine)
        bookkeeping.resolve_letters(connection, target, list(fine), kind="of_raw" if self.is_of_raw else "any")
        self._keep_notes()
        self._close()
        return fine

    def _close(self) -> None:
        """Keep the checkpoint and add the counts to the sync's sheet."""
        bookkeeping.close(self._connection, self._plan.target, self._batch, self._counts, self._failed_values)

    def _staged(
        self, key: str, is_stored: bool, emptied: frozenset[tuple[int, str]] = _NONE, landed: bytes | None = None
    ) -> _Staged:
        """A record ready for the stage; columns in `emptied` (mapper's position, name) stay null as refused ones.

        `landed` goes to the raw table in place of its payload.
        """
        record, digest = self._prepared.newest[key], self._prepared.hashes[key]
        if record.is_deleted:
            # Nothing of a record that was deleted before we ever had it is kept, but that it is gone.
            payload = record.payload if is_stored else _TOMBSTONE
            return self._unmapped(record, Fate.DELETED, digest, payload)
        try:
            cells = self._cells(record.payload, emptied)
            line = stage_line(record, digest, Fate.MAPPED, copy_text.join(cells.texts), landed or record.payload)
        except Reject as reject:
            payload = shallow(record.payload) if reject.code == "too_deep" else record.payload
            return self._unmapped(record, Fate.REJECTED, UNMAPPED, payload, bookkeeping.rejected(key, reject))
        except UnicodeEncodeError:
            letter = NewLetter(key, "write", "unstorable", "a mapped text is not valid Unicode")
            return self._unmapped(record, Fate.REJECTED, UNMAPPED, record.payload, letter)
        return _Staged(record, Fate.MAPPED, line, None, cells if cells.is_noteworthy else None)

    def _cells(self, payload: bytes, emptied: frozenset[tuple[int, str]]) -> _Cells:
        """Raises Reject."""
        plan, cells = self._plan, _Cells([], [], [])
        for position, mapper in enumerate(plan.mappers):
            texts, failed = mapper.read(payload)
            if emptied and texts is not None:
                refused = [column for at, column in emptied if at == position]
                texts = [None if c in refused else t for c, t in zip(mapper.columns, texts, strict=True)]
                failed = [*failed, *(FailedValue(column, "unstorable", "") for column in sorted(refused))]
            if plan.choosy[position]:
                time = plan.times[position]
                if texts is not None and time is not None and (texts[time] or "") > self._horizon:
                    cells.due, texts, failed = texts[time], None, ()
                cells.texts.append("t" if texts is None else "f")
            if texts is None:
                cells.left_out.append(position)
                texts = [None] * len(mapper.columns)
            cells.texts += texts
            if failed:
                cells.failed += [(mapper.table, value) for value in failed]
        return cells

    def _unmapped(
        self, record: SourceRecord, fate: Fate, digest: bytes, payload: bytes, letter: NewLetter | None = None
    ) -> _Staged:
        return _Staged(record, fate, stage_line(record, digest, fate, self._plan.stage.unmapped, payload), letter)

    def _write(self, part: Sequence[_Staged]) -> None:
        """Write a part; when isolating, halve what is refused until the record to blame stands alone."""
        if not self._isolate:
            self._store(part)
            return
        refusal = self._refusal(part)
        if refusal is None:
            return
        if len(part) == 1:
            self._set_aside(part[0], describe(refusal))
        else:
            middle = len(part) // 2
            self._write(part[:middle])
            self._write(part[middle:])

    def _refusal(self, part: Sequence[_Staged], *, is_trial: bool = False) -> psycopg.Error | None:
        """Write a part under a savepoint; why PostgreSQL refuses a value of it, and then nothing of it is left.

        A trial leaves nothing in any case. Raises what is no record's fault.
        """
        counts, letters, landed, stale = self._counts, len(self._letters), set(self._landed), set(self._stale)
        refusal: psycopg.Error | None = None
        try:
            with self._connection.transaction(force_rollback=is_trial):
                self._store(part)
        except psycopg.Error as error:
            if not is_of_a_record(error):
                raise
            refusal = error
        if is_trial or refusal is not None:
            self._counts, self._landed, self._stale = counts, landed, stale
            del self._letters[letters:]
            self._notes.forget([staged.record.external_id for staged in part])
        return refusal

    def _set_aside(self, staged: _Staged, cause: str) -> None:
        """Write one record without the optional values that are refused; else dead-letter it.

        The payload of a dead letter is landed all the same where that is possible.
        """
        record = staged.record
        letter = NewLetter(record.external_id, "write", "unstorable", cause)
        if staged.fate is Fate.MAPPED:
            for mended in (self._mended(staged), self._relanded(staged)):
                if mended is not None and self._refusal([mended]) is None:
                    return
            bare = self._unmapped(record, Fate.REJECTED, UNMAPPED, record.payload, letter)
            if self._refusal([bare]) is None:
                return
        self._letters.append(letter.keeping(record))

    def _relanded(self, staged: _Staged) -> _Staged | None:
        """The record with a payload that jsonb takes, when it is the payload that was refused."""
        landed = landable(staged.record.payload)
        return None if landed is None else self._staged(staged.record.external_id, True, landed=landed)

    def _mended(self, staged: _Staged) -> _Staged | None:
        """The record without the fewest optional values that PostgreSQL takes it without; None if there are none.

        What was to blame in an earlier record is tried first: mostly it is one column of many records.
        """
        key = staged.record.external_id
        optional = frozenset(
            (position, column)
            for position, mapper in enumerate(self._plan.mappers)
            for column in mapper.columns
            if column not in mapper.required
        )
        for emptied in [*self._suspects, optional]:
            if emptied and self._refusal([self._staged(key, True, emptied)], is_trial=True) is None:
                break
        else:
            return None
        if emptied == optional and len(optional) > 1:
            for each in sorted(optional):
                if self._refusal([self._staged(key, True, emptied - {each})], is_trial=True) is None:
                    emptied -= {each}
            if len(emptied) == 1:
                self._suspects.append(emptied)
        return self._staged(key, True, emptied)

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
        self._upsert([staged for staged in fresh if staged.fate is Fate.MAPPED], stale)
        self._delete(_moments(fresh, Fate.DELETED))
        for staged in fresh:
            cells = staged.cells
            if cells is not None and cells.failed:
                self._notes.failed[staged.record.external_id] = cells.failed
            if cells is not None and cells.due is not None:
                self._notes.planned[staged.record.external_id] = cells.due

    def _land(self, ids: list[str]) -> frozenset[str]:
        """Write the staged records to the raw extract; ids of those older than what it has."""
        return self._plan.raw.land(
            self._connection, ids, self._plan.target.sync_log_id, self._batch_id, self._shared(ids)
        )

    def _shared(self, ids: Iterable[str]) -> list[str]:
        """Those of them that other slices may hold, too; none in a stream of one slice."""
        if not self._plan.target.stream.is_sliced:
            return []
        return [key for key in ids if self._prepared.newest[key].is_shared]

    def _upsert(self, mapped: Sequence[_Staged], stale: frozenset[str]) -> None:
        if not mapped:
            return
        primary, *_ = [self._upsert_into(k, table, mapped, stale) for k, table in enumerate(self._plan.canonical)]
        self._counts = self._counts + primary

    def _upsert_into(
        self, position: int, table: CanonicalTable, mapped: Sequence[_Staged], stale: frozenset[str]
    ) -> Counts:
        """Write the rows of one table. The row of a record that is left out now counts as deleted."""
        out: list[str] = []
        if self._plan.choosy[position]:
            out = [s.record.external_id for s in mapped if s.cells is not None and position in s.cells.left_out]
            mapped = [s for s in mapped if s.cells is None or position not in s.cells.left_out] if out else mapped
        withdrawn = table.leave_out(self._connection, out) if out else 0
        kept = _moments(mapped, Fate.MAPPED)
        done = table.upsert(self._connection, kept, stale) if kept else Upserted()
        return Counts(
            created=done.created,
            updated=done.updated,
            unchanged=len(kept) - done.created - done.updated - done.stale,
            deleted=withdrawn,
            skipped=done.stale + len(out) - withdrawn,
        )

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
