"""Replay: open dead letters tried again, each once, from what is held of their records. The vendor is not called.

A sync does it for each stream it has read to its end, RenormalizeWorkflow when a person asks. A killed worker
leaves no gap: what was tried in this sync's name says so itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.model.records import Page, RowMapper, SourceRecord
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.letter_replay import LetterBatch, LetterReplay, streams_waiting, waiting_records
from gtmc_pipelines.storage.tombstones import Tombstones
from gtmc_pipelines.storage.tombstones import load as load_tombstones
from gtmc_pipelines.workflows.activities.books import Books
from gtmc_pipelines.workflows.activities.consent import require_consent
from gtmc_pipelines.workflows.activities.erased import without_erased
from gtmc_pipelines.workflows.activities.mappers import mappers_of
from gtmc_pipelines.workflows.activities.open_sync import selected_streams
from gtmc_pipelines.workflows.activities.pulse import Pulse
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.inputs import Beat, SegmentResult, SyncPlan, SyncRequest

MOST_OF_A_SYNC = 2_000
"""Records of a stream that a sync tries again in a segment, least recently tried first; the others have their turn."""


def replay_segment(services: Services, request: SyncRequest, plan: SyncPlan, pulse: Pulse) -> SegmentResult:
    """Try the letters a request is about until all were tried or a segment's bound is reached."""
    require_consent(services.database, request)
    row = require_connector(services.database, request.tenant_id, request.connector_id)
    books = Books(services.database, request.tenant_id, plan.sync_log_id)
    tombstones = load_tombstones(services.database, services.key_ring, request.tenant_id)
    with services.database.tenant(request.tenant_id) as handle:
        waiting = streams_waiting(handle, request.tenant_id, request.connector_id)
    done = batches = 0
    for stream in selected_streams(request):
        if stream.name not in waiting:
            continue
        mappers = mappers_of(services.database, connector_of(row.type), row, stream)
        target = replay_target(request, plan, stream)
        for tried, counts in replayed(services, request, target, mappers, tombstones):
            books.add(stream, counts)
            done, batches = done + tried, batches + 1
            if done >= services.settings.segment_records:
                return SegmentResult(False, done, batches)
            pulse.beat = Beat(Phase.WRITING, stream.name, books.counts)
            pulse()
        books.close(stream, None)
    return SegmentResult(True, done, batches)


def replayed(
    services: Services,
    request: SyncRequest,
    target: BatchTarget,
    mappers: Sequence[RowMapper],
    tombstones: Tombstones | None,
    *,
    is_of_sync: bool = False,
) -> Iterator[tuple[int, Counts]]:
    """Try a stream's letters, a committed batch at a time: how many records it tried, and what goes on the sheet.

    With `is_of_sync` at most MOST_OF_A_SYNC, and those that fail again are on the letters only. Raises as
    `BatchWriter.write` does, and Reauthorize `dpa_not_accepted`.
    """
    left = MOST_OF_A_SYNC
    with LetterReplay(services.database, target, mappers) as writer:
        while left > 0:
            waiting = waiting_records(services.database, target, request.letters)
            if not waiting.total:
                return
            for records, gone, is_kept in ((waiting.of_raw, waiting.gone, False), (waiting.kept, (), True)):
                if records or gone:
                    require_consent(services.database, request)
                    batch = _batch(records, target.stream, mappers[0], tombstones)
                    batch = replace(batch, is_kept=is_kept, is_of_sync=is_of_sync, gone=gone)
                    yield len(records), writer.write(batch)
            left -= waiting.total if is_of_sync else 0


def _batch(
    records: Sequence[SourceRecord], stream: Stream, mapper: RowMapper, tombstones: Tombstones | None
) -> LetterBatch:
    """The records as if erased people had never been; their letters go."""
    kept = records if tombstones is None else without_erased(Page(records, None), stream, mapper, tombstones).records
    left = {record.external_id for record in kept}
    erased = [record.external_id for record in records if record.external_id not in left]
    return LetterBatch(kept, None, skipped=len(erased), erased=erased)


def replay_target(request: SyncRequest, plan: SyncPlan, stream: Stream) -> BatchTarget:
    """Where a stream's letters go, in the name of the sync that tries them. No read is meant: nothing is swept."""
    return BatchTarget(
        tenant_id=request.tenant_id,
        connector_id=request.connector_id,
        sync_log_id=plan.sync_log_id,
        fence=plan.fence,
        stream=stream,
        mode=plan.mode,
        until=plan.until or datetime.now(UTC),
    )
