"""Phases, modes, triggers and outcomes of a sync, as the platform documents them."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """Phases of ConnectorSyncWorkflow; they only move forward (design section 8)."""

    AUTHENTICATING = "authenticating"
    SYNCING = "syncing"
    WRITING = "writing"
    FINALIZING = "finalizing"
    COMPLETE = "complete"
    FAILED = "failed"


class SyncMode(StrEnum):
    """`sync_logs.sync_type`."""

    FULL = "full"
    INCREMENTAL = "incremental"


class FullBecause(StrEnum):
    """Why a sync that was asked for as incremental is a full one."""

    FIRST_SYNC = "first_sync"  # nothing was ever read to its end, at least since the connector was connected
    UNFINISHED_FULL_READ = "unfinished_full_read"  # an earlier full read was cut and is gone on with


class SyncStatus(StrEnum):
    """`sync_logs.status`: exactly the documented three."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


class Outcome(StrEnum):
    """How a sync ended, finer than its status."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DEFERRED = "deferred"  # quota: checkpoint kept, goes on at a stated time
    DUPLICATE = "duplicate"  # another sync of this connector was running; nothing was done

    @property
    def status(self) -> SyncStatus:
        """The documented status this outcome is stored as."""
        return SyncStatus.COMPLETED if self is Outcome.COMPLETED else SyncStatus.FAILED


class Trigger(StrEnum):
    """Who asked for a sync."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    BACKFILL = "backfill"
    SENSOR = "sensor"
    CLI = "cli"
    RENORMALIZE = "renormalize"  # whoever asked: canonical rows from raw ones, the vendor is not called
    REPLAY = "replay"  # the same for dead letters alone, from raw rows or from the letters
