"""Planned records whose time has come: a sync makes their rows from the raw extract."""

from __future__ import annotations

from typing import Any

import psycopg

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.storage import bookkeeping, planned_records, sync_logs
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.batch_transaction import BatchTransaction
from gtmc_pipelines.storage.batch_writer import ATTEMPTS
from gtmc_pipelines.storage.dead_letters import NewLetter
from gtmc_pipelines.storage.landing import Prepared
from gtmc_pipelines.storage.renormalize import RawRewriter, Rewrite


class _Due(Rewrite):
    """Each record is taken off the plan first: it goes back on only if its time is still to come after all."""

    def _keys(self) -> list[str]:
        keys, target = super()._keys(), self._plan.target
        planned_records.forget(self._connection, target.tenant_id, target.connector_id, target.stream.name, keys)
        return keys

    def _close(self) -> None:
        _count(self._connection, self._plan.target, self._counts, self._failed_values)


class PlannedWriter(RawRewriter):
    """A batch writer whose batches come from `planned_records.due_records`. No cursor and no position moves."""

    transaction: type[BatchTransaction] = _Due

    def _dead_letter(self, connection: psycopg.Connection[Any], batch: Batch, prepared: Prepared, cause: str) -> Counts:
        target = self._target
        batch_id, _ = bookkeeping.begin(connection, target)
        keys = list(prepared.newest)
        letters = [NewLetter(key, "write", "batch_failed", f"refused {ATTEMPTS} times: {cause}") for key in keys]
        planned_records.forget(connection, target.tenant_id, target.connector_id, target.stream.name, keys)
        bookkeeping.dead_letter(connection, target, batch_id, letters, is_of_raw=True)
        counts = Counts(read=batch.read, failed=len(letters))
        _count(connection, target, counts, 0)
        return counts


def _count(connection: psycopg.Connection[Any], target: BatchTarget, counts: Counts, failed_values: int) -> None:
    sync_logs.add_counts(
        connection,
        target.tenant_id,
        target.sync_log_id,
        target.stream.name,
        counts,
        phase=Phase.WRITING,
        failed_values=failed_values,
    )
