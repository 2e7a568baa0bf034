"""What is written at once: the target of a stream read, a batch of its records, and the plan compiled for both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import EVERYTHING, Coverage, RejectedRecord, RowMapper, SourceRecord
from gtmc_pipelines.storage.canonical import CanonicalTable
from gtmc_pipelines.storage.landing import ContentHash, RawTable
from gtmc_pipelines.storage.planned_records import time_column
from gtmc_pipelines.storage.staging import Stage


@dataclass(frozen=True, slots=True)
class BatchTarget:
    """Where the batches of one stream read (or slice) go, and in whose name.

    `fence` is the lease token of the sync. `generation` is that of the full read, from
    `sweep.new_generation`; with `mark_seen` records that are not landed again are marked as seen,
    for the sweep after it. `mode` and `until` are kept beside an unfinished read's checkpoint.
    """

    tenant_id: str
    connector_id: str
    sync_log_id: str
    fence: int
    stream: Stream
    mode: SyncMode
    until: datetime
    slice: str = ""
    generation: int = 0
    mark_seen: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """One or more pages, written in one transaction. `checkpoint` is None when the read is complete.

    `covers` is what a full read that is complete with this batch says about records it didn't see.
    """

    records: Sequence[SourceRecord]
    checkpoint: str | None
    watermark: str | None = None
    rejects: Sequence[RejectedRecord] = ()
    skipped: int = 0
    covers: Coverage = EVERYTHING

    @property
    def is_last(self) -> bool:
        """True when the read is complete with this batch."""
        return self.checkpoint is None

    @property
    def read(self) -> int:
        """How many records of the vendor this batch accounts for."""
        return len(self.records) + len(self.rejects) + self.skipped


class BatchPlan:
    """Everything about writing one stream that doesn't change from batch to batch. `mappers[0]` is the primary one.

    `choosy` says of each mapper whether it may leave records out: by its `skip` entry, or because an activity's
    time, at `times` in its row, is still to come.
    """

    def __init__(self, target: BatchTarget, mappers: Sequence[RowMapper]) -> None:
        self.target = target
        self.mappers = tuple(mappers)
        self.content_hash = ContentHash(mappers)
        self.times = tuple(time_column(mapper) for mapper in self.mappers)
        choosy = {k for k, mapper in enumerate(mappers) if mapper.is_selective or self.times[k] is not None}
        self.choosy = tuple(k in choosy for k in range(len(self.mappers)))
        self.stage = Stage(mappers, choosy)
        self.raw = RawTable(target.stream, target.tenant_id, target.slice if target.stream.is_sliced else "")
        self.canonical = tuple(
            CanonicalTable(mapper, position, target.stream, target.tenant_id, is_choosy=self.choosy[position])
            for position, mapper in enumerate(mappers)
        )
