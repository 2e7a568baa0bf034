"""The books of a running segment: what has been counted so far, and how each slice and stream ended."""

from __future__ import annotations

from collections.abc import Sequence

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken, Retry, SyncFault, Unserved
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.storage import left_out
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.left_out import LeftOut
from gtmc_pipelines.storage.sync_history import SyncLog, require_sync
from gtmc_pipelines.storage.sync_logs import add_counts
from gtmc_pipelines.workflows.activities.slices import LeftOutBefore

FAILED = "failed"
COMPLETE = "complete"

_KINDS: dict[str, type[Retry] | type[Unserved] | type[Broken]] = {"down": Retry, "unserved": Unserved, "broken": Broken}
_BROKEN = "broken"


class Books:
    """Counts by stream, from the sync's log at the start of the segment and added up in memory from there."""

    def __init__(self, database: Database, tenant_id: str, sync_log_id: str) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._sync_log_id = sync_log_id
        log = require_sync(database, tenant_id, sync_log_id)
        self.counts = counts_in(log)
        self._failed = set(failures_in(log))
        self._connector_id = log.connector_id
        with database.tenant(tenant_id) as handle:
            self._left_out = left_out.list_left_out(handle, tenant_id, log.connector_id)
        self._left_out_now = {(each.stream, each.slice) for each in self._left_out}

    def has_failed(self, stream: Stream) -> bool:
        """True for a stream that broke in this sync: its siblings go on without it."""
        return stream.name in self._failed

    def add(self, stream: Stream, counts: Counts) -> None:
        """Count a batch that is committed."""
        total = Counts.of(self.counts.get(stream.name, {})) + counts
        self.counts = {**self.counts, stream.name: total.as_dict()}

    def left_out_before(self) -> dict[str, dict[str, LeftOutBefore]]:
        """Slices that are left out as this segment begins, by stream and slice."""
        found: dict[str, dict[str, LeftOutBefore]] = {}
        for each in self._left_out:
            of_stream = found.setdefault(each.stream, {})
            of_stream[each.slice] = LeftOutBefore(_fault_of(each), each.sync_log_id == self._sync_log_id)
        return found

    def end_slice(self, stream: Stream, key: str, fault: SyncFault | None) -> None:
        """Note that a slice has been read to its end, or why it is left out of this sync."""
        if fault is None and (stream.name, key) not in self._left_out_now:
            return
        of = (self._tenant_id, self._connector_id, stream.name, key)
        with self._database.tenant(self._tenant_id) as handle:
            if fault is None:
                left_out.take_in(handle, *of)
                self._left_out_now.discard((stream.name, key))
                return
            kind = next((kind for kind, leaf in _KINDS.items() if isinstance(fault, leaf)), _BROKEN)
            told = {"reason_code": fault.code, "kind": kind, "sentence": str(fault)}
            left_out.leave_out(handle, *of, sync_log_id=self._sync_log_id, **told)
            self._left_out_now.add((stream.name, key))

    def close(self, stream: Stream, fault: SyncFault | None, slices: Sequence[str] = ()) -> None:
        """Note how a stream ended, with the fault's sentence when it broke. `slices` are all a sliced one has."""
        if slices:
            with self._database.tenant(self._tenant_id) as handle:
                left_out.forget_others(handle, self._tenant_id, self._connector_id, stream.name, slices)
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

    def add_swept(self, stream: Stream, deleted: int) -> None:
        """Count what a deletion sweep has marked: it stands on the sheet as read and deleted."""
        if deleted:
            self.add(stream, Counts(read=deleted, deleted=deleted))


def _fault_of(each: LeftOut) -> SyncFault:
    return _KINDS.get(each.kind, Broken)(each.reason_code, each.sentence)


def counts_in(log: SyncLog) -> dict[str, dict[str, int]]:
    """The balance sheet of a log by stream."""
    return {name: log.counts_of(name).as_dict() for name in log.stream_counts}


def failures_in(log: SyncLog) -> dict[str, str]:
    """Streams that broke, with their sentences."""
    return {
        name: str(entry.get("error") or "") for name, entry in log.stream_counts.items() if entry.get("state") == FAILED
    }
