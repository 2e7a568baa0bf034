"""The end of a stream: what its complete full reads didn't see is asked for by id, and what stays away is marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.model.catalog import DeleteDetection
from gtmc_pipelines.model.records import NOTHING, SourceRecord
from gtmc_pipelines.storage import sweep, sweep_parts
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sweep import SweepResult
from gtmc_pipelines.storage.sweep_parts import Parts
from gtmc_pipelines.workflows.activities.ahead import Ahead, alongside

MOST_ASKED = 50_000
"""Above the ceiling, more missing records than this are not even asked for by id: a person has to look first."""

_T = TypeVar("_T")


class DeletionSweep:
    """Sweeps streams of one connector with the session they were read by. Runs in the writing thread.

    `write` writes a batch to a target; `beat` is called while the vendor is waited for.
    """

    def __init__(
        self,
        database: Database,
        connector: Connector,
        session: Any,
        write: Callable[[BatchTarget, Batch], None],
        beat: Callable[[], None],
        *,
        is_confirmed: bool,
    ) -> None:
        self._database = database
        self._connector = connector
        self._session = session
        self._write = write
        self._beat = beat
        self._ceiling = 1.0 if is_confirmed else sweep.CEILING

    def run(self, target: BatchTarget, listed: Sequence[str]) -> SweepResult | None:
        """Sweep the stream of `target`, of which the vendor has `listed` these slices; None when there is nothing to.

        An incremental sync marks only slices that have been gone for long, and leaves them to the next full one
        when that is above the ceiling. Raises faults of asking.
        """
        if target.stream.deletes is DeleteDetection.NONE:
            return None
        parts = self._parts(target, listed)
        if not parts.all:
            return None
        found = self._preview(target, parts)
        if found.is_refused and (not parts.without_gone.all or found.missing > MOST_ASKED):
            return self._sweep(target, parts) if parts.without_gone.all else None
        if found.missing:
            self._ask(target, parts)
        return self._sweep(target, parts)

    def _parts(self, target: BatchTarget, listed: Sequence[str]) -> Parts:
        if not target.stream.is_sliced:
            return sweep_parts.parts_of(self._database, target, listed, is_all_known=True)
        if not listed:
            return Parts()
        with self._database.tenant(target.tenant_id) as handle:
            sweep_parts.note_listed(handle, target, listed)
        absent = sweep_parts.absent_slices(self._database, target)
        read = sweep_parts.parts_of(self._database, target, listed, is_all_known=False)
        asked = [slice for slice, is_over in absent.items() if is_over or read.all]
        gone = self._waited(lambda: [slice for slice in asked if not self._has_slice(target, slice)]) if asked else []
        for slice in (slice for slice in asked if slice not in gone and absent[slice]):
            with self._database.tenant(target.tenant_id) as handle:
                sweep_parts.forget_absence(handle, target, slice)
        leaving = [slice for slice in gone if absent[slice]]
        return sweep_parts.parts_of(self._database, target, listed, leaving, is_all_known=gone == leaving)

    def _has_slice(self, target: BatchTarget, slice: str) -> bool:
        return self._connector.has_slice(self._session, target.stream, slice)

    def _ask(self, target: BatchTarget, parts: Parts) -> None:
        """Ask for what was not seen; whatever the vendor has after all is written, or marked as seen."""
        target = replace(target, generation=parts.generation, mark_seen=True)
        for slice, missing in sweep.unseen(self._database, target, parts):
            answers = self._connector.still_there(self._session, target.stream, slice, missing)
            with Ahead(iter(answers), self._beat) as found:
                for answer in found:
                    if answer.records:
                        self._write(replace(target, slice=slice), _batch(answer.records))
                    if answer.present:
                        sweep.mark_present(self._database, target, answer.present)

    def _preview(self, target: BatchTarget, parts: Parts) -> SweepResult:
        return self._waited(lambda: sweep.preview(self._database, target, parts, ceiling=self._ceiling))

    def _sweep(self, target: BatchTarget, parts: Parts) -> SweepResult:
        stream = target.stream
        prefixes = tuple(stream.prefix_of(entity) for entity in stream.entities)
        reason = "not_visible" if stream.may_hide else "absent"
        return self._waited(
            lambda: sweep.sweep(self._database, target, parts, prefixes, reason=reason, ceiling=self._ceiling)
        )

    def _waited(self, work: Callable[[], _T]) -> _T:
        return alongside(work, self._beat)


def _batch(records: Sequence[SourceRecord]) -> Batch:
    return Batch(records, None, covers=NOTHING)


def after_refusal(target: BatchTarget) -> str:
    """What a person does about a sweep that was refused."""
    return (
        "Look at the source. If the records are really gone, confirm it: gtmc sync "
        f"--tenant {target.tenant_id} --connector {target.stream.connector} --stream {target.stream.name} "
        "--full --confirm-deletions"
    )
