"""The books of a running segment: what has been counted so far, and how each stream ended."""

from __future__ import annotations

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import SyncFault
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.storage import sweep
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import SyncLog, require_sync
from gtmc_pipelines.storage.sync_logs import add_counts

FAILED = "failed"
COMPLETE = "complete"


class Books:
    """Counts by stream, from the sync's log at the start of the segment and added up in memory from there."""

    def __init__(self, database: Database, tenant_id: str, sync_log_id: str) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._sync_log_id = sync_log_id
        log = require_sync(database, tenant_id, sync_log_id)
        self.counts = counts_in(log)
        self._failed = set(failures_in(log))

    def has_failed(self, stream: Stream) -> bool:
        """True for a stream that broke in this sync: its siblings go on without it."""
        return stream.name in self._failed

    def add(self, stream: Stream, counts: Counts) -> None:
        """Count a batch that is committed."""
        total = Counts.of(self.counts.get(stream.name, {})) + counts
        self.counts = {**self.counts, stream.name: total.as_dict()}

    def close(self, stream: Stream, fault: SyncFault | None) -> None:
        """Note how a stream ended, with the fault's sentence when it broke."""
        if fault is not None:
            self._failed.add(stream.name)
        with self._database.tenant(self._tenant_id) as handle:
            add_counts(
                handle,
                self._tenant_id,
                self._sync_log_id,
                stream.name,
                Counts(),
                state=COMPLETE if fault is None else FAILED,
                phase=Phase.WRITING,
                error=None if fault is None else str(fault),
            )

    def sweep(self, target: BatchTarget) -> str:
        """Mark what a complete full read didn't see as deleted; why not, when that was refused."""
        prefixes = tuple(target.stream.prefix_of(entity) for entity in target.stream.entities)
        swept = sweep.sweep(self._database, target, prefixes)
        if swept.deleted:
            self.add(target.stream, Counts(read=swept.deleted, deleted=swept.deleted))
        return swept.refusal


def counts_in(log: SyncLog) -> dict[str, dict[str, int]]:
    """The balance sheet of a log by stream."""
    return {name: log.counts_of(name).as_dict() for name in log.stream_counts}


def failures_in(log: SyncLog) -> dict[str, str]:
    """Streams that broke, with their sentences."""
    return {
        name: str(entry.get("error") or "") for name, entry in log.stream_counts.items() if entry.get("state") == FAILED
    }
