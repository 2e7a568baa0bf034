"""sync_segment: reads, lands and writes many pages, from wherever the last segment or attempt had come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gtmc_pipelines.connectors.contract import DescribesFields, Session
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.compile import CompiledMapping
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.model.phases import Phase, SyncMode
from gtmc_pipelines.model.records import ReadFrom
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.comparisons import compared_lately
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.letter_replay import settle_unnamed, streams_waiting
from gtmc_pipelines.storage.planned_records import streams_due
from gtmc_pipelines.storage.tombstones import load as load_tombstones
from gtmc_pipelines.workflows.activities.ahead import Ahead, alongside
from gtmc_pipelines.workflows.activities.books import Books
from gtmc_pipelines.workflows.activities.calculated import Recalculation
from gtmc_pipelines.workflows.activities.comparing import compare
from gtmc_pipelines.workflows.activities.consent import DOMAINS_CHANGED, require_consent
from gtmc_pipelines.workflows.activities.erased import without_erased
from gtmc_pipelines.workflows.activities.field_watch import FieldWatch
from gtmc_pipelines.workflows.activities.mappers import mappers_of
from gtmc_pipelines.workflows.activities.open_sync import selected_streams
from gtmc_pipelines.workflows.activities.planned import fulfilled
from gtmc_pipelines.workflows.activities.positions import Positions, Start
from gtmc_pipelines.workflows.activities.pulse import WORKER_STOPPING, Pulse
from gtmc_pipelines.workflows.activities.reading import Hooks, SegmentBounds, SegmentEnd, Step, StreamEnd, read_streams
from gtmc_pipelines.workflows.activities.replay import replay_target, replayed
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.activities.sessions import open_session
from gtmc_pipelines.workflows.activities.slices import ReadBatch, SliceEnd
from gtmc_pipelines.workflows.activities.sweeping import DeletionSweep, after_refusal
from gtmc_pipelines.workflows.activities.usage import UsageMeter
from gtmc_pipelines.workflows.inputs import Beat, SegmentResult, SyncPlan, SyncRequest
from gtmc_pipelines.workflows.slots import TURN

_GIVES_WAY = "gives_way"
_HANDS_OVER = (WORKER_STOPPING, DOMAINS_CHANGED, _GIVES_WAY)


class Segment:
    """One segment of one sync. A thread reads ahead, a batch at a time; the activity's own thread writes."""

    def __init__(self, services: Services, request: SyncRequest, plan: SyncPlan, pulse: Pulse) -> None:
        self._services = services
        self._request = request
        self._plan = plan
        self._pulse = pulse
        self._agreed = require_consent(services.database, request)
        self._row = require_connector(services.database, request.tenant_id, request.connector_id)
        self._connector = connector_of(self._row.type)
        self._books = Books(services.database, request.tenant_id, plan.sync_log_id)
        pulse.beat = Beat(Phase.SYNCING, counts=self._books.counts)
        self._usage = UsageMeter(services.database, self._row, plan.sync_log_id)
        self._writer: BatchWriter | None = None
        self._writing: Start | None = None
        self._committed_at = time.monotonic()
        self._records = self._batches = 0
        self._until = plan.until or datetime.now(UTC)
        self._positions = Positions(services.database, request, plan, self._until)
        self._session: Session | None = None
        self._read: list[StreamEnd] = []
        self._compared: frozenset[str] | None = None
        self._tombstones = load_tombstones(services.database, services.key_ring, request.tenant_id)
        self._mappers: dict[str, list[CompiledMapping]] = {}
        self._watches: dict[str, FieldWatch] = {}
        with services.database.tenant(request.tenant_id) as handle:
            self._waiting = streams_waiting(handle, request.tenant_id, request.connector_id)
            self._due = streams_due(handle, request.tenant_id, request.connector_id, datetime.now(UTC))

    def run(self) -> SegmentResult:
        """Go on until every stream has ended, a bound is reached, or this worker is being stopped.

        Raises what ends the whole sync; everything before it is committed with its checkpoint.
        """
        try:
            is_complete = self._go_on()
        except Retry as fault:
            if fault.code not in _HANDS_OVER:
                raise
            is_complete = False  # the next segment goes on where this one has committed; no attempt is used up
        return SegmentResult(is_complete, self._records, self._batches)

    def _go_on(self) -> bool:
        self._usage.keep_to_share()
        with ExitStack() as stack:
            stack.callback(self._usage.write)
            stack.callback(self._close_session)
            stack.callback(self._close_writer)
            last = ""
            ahead = Ahead(self._steps(), self._beat, sign_of_life=self._progressed_at)
            for step in stack.enter_context(ahead):
                self._beat()
                self._give_way()
                if isinstance(step, SegmentEnd):
                    self._watches[last].close()
                    return False
                last = step.stream.name
                if isinstance(step, ReadBatch):
                    self._write(step)
                elif isinstance(step, SliceEnd):
                    self._books.end_slice(step.stream, step.slice, step.fault)
                else:
                    self._end(step)
                self._usage.note()
            for step in self._read:
                self._close_stream(step)
                self._usage.note()
        return True

    def _progressed_at(self) -> float:
        """When the vendor last said that it works on something for us, though no page has come of it yet."""
        return float(getattr(self._session, "progressed_at", 0.0))

    def _give_way(self) -> None:
        """End this segment at what it has committed when its tenant has more than its share while others wait."""
        turn = TURN.get()
        if self._batches and turn is not None and turn.should_give_way:
            raise Retry(_GIVES_WAY, "Other tenants wait; the sync goes on in its turn.")

    def _steps(self) -> Iterator[Step]:
        """Runs in the reading thread, vendor session and all: authenticating may wait longer than a heartbeat."""
        services, row = self._services, self._row
        session = self._session = open_session(services, row)
        calculated = Recalculation(services.database, self._request, self._plan, self._connector, session)

        def begin(stream: Stream, start: Start) -> Start:
            return self._begin(session, stream, start)

        self._usage.watch(session)
        yield from read_streams(
            self._connector,
            session,
            [stream for stream in selected_streams(self._request) if not self._books.has_failed(stream)],
            self._positions,
            SegmentBounds(services.settings.segment_records, services.settings.segment_seconds),
            self._compile,
            self._books.left_out_before(),
            Hooks(
                begin,
                lambda stream, steps: self._watches[stream.name].gathered(steps),
                lambda stream: calculated.pages(stream, self._mappers[stream.name]),
            ),
        )

    def _compile(self, stream: Stream) -> None:
        """The mapping as it is saved now: one that can't be compiled ends its stream before the vendor is asked."""
        mappers = mappers_of(self._services.database, self._connector, self._row, stream)
        self._mappers[stream.name] = mappers
        self._watches[stream.name] = FieldWatch(self._services.database, self._request, stream, mappers)

    def _begin(self, session: Any, stream: Stream, start: Start) -> Start:
        """Where a read starts: further back when a hidden field is shown again."""
        watch, connector = self._watches[stream.name], self._connector
        if not watch.has_hidden:
            return start
        if isinstance(connector, DescribesFields):
            return watch.lowered(start, connector.shown_fields(session, stream))
        return watch.lowered(start, None)

    def _write(self, step: ReadBatch) -> None:
        if require_consent(self._services.database, self._request) != self._agreed:
            raise Retry(DOMAINS_CHANGED, "The allowed domains have changed; the sync goes on under the new ones.")
        writer, page = self._writer_for(step), step.page
        if self._tombstones is not None:
            page = without_erased(page, step.stream, writer.primary_mapper, self._tombstones)
        watch = self._watches[step.stream.name]
        page = watch.kept(page, step.start)
        batch = Batch(page.records, page.checkpoint, page.watermark, page.rejects, page.skipped, page.covers)
        self._books.add(step.stream, writer.write(batch))
        watch.written(page, step.start)
        self._committed_at = time.monotonic()
        if page.is_last and step.start.read.mode is SyncMode.FULL and not step.stream.is_sliced:
            settle_unnamed(self._services.database, self._target(step.stream, step.start))
        self._records += batch.read
        self._batches += 1
        self._pulse.beat = Beat(Phase.WRITING, step.stream.name, self._books.counts)

    def _writer_for(self, step: ReadBatch) -> BatchWriter:
        if self._writer is None or self._writing is not step.start:
            self._close_writer()
            target = self._target(step.stream, step.start)
            self._writer = BatchWriter(self._services.database, target, self._mappers[step.stream.name])
            self._writing = step.start
        return self._writer

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = self._writing = None

    def _end(self, step: StreamEnd) -> None:
        self._close_writer()
        if step.stream.name in self._watches:
            self._watches[step.stream.name].close()
        fault = step.fault
        if fault is None:
            if step.stream.name in self._waiting:
                self._replay(step.stream)
            if step.stream.name in self._due:
                self._fulfil(step.stream)
            self._read.append(step)
        self._books.close(step.stream, fault, step.slices)

    def _close_stream(self, step: StreamEnd) -> None:
        """Once everything is read and nobody else uses the session: what is gone, and whether the numbers agree."""
        if require_consent(self._services.database, self._request) != self._agreed:
            raise Retry(DOMAINS_CHANGED, "The allowed domains have changed; the sync goes on under the new ones.")
        try:
            found = self._deletion_sweep().run(self._target_at_end(step.stream), step.slices)
        except Broken as fault:
            self._books.close(step.stream, fault)
            return
        if found is not None:
            self._books.add_swept(step.stream, found.deleted)
        if found is not None and found.refusal:
            next_step = after_refusal(self._target_at_end(step.stream))
            self._books.close(step.stream, Broken("sweep_refused", found.refusal, next_step=next_step))
        else:
            self._compare(step.stream, is_due=found is not None)

    def _replay(self, stream: Stream) -> None:
        """Dead letters of earlier syncs whose records this one has not read again are tried once more."""
        target = replay_target(self._request, self._plan, stream)
        for _, counts in replayed(
            self._services, self._request, target, self._mappers[stream.name], self._tombstones, is_of_sync=True
        ):
            self._books.add(stream, counts)
            self._beat()

    def _fulfil(self, stream: Stream) -> None:
        """Planned activities whose time has come are rows now, although their records are as they were."""
        target, mappers = replay_target(self._request, self._plan, stream), self._mappers[stream.name]
        for counts in fulfilled(self._services, self._request, target, mappers, datetime.now(UTC)):
            self._books.add(stream, counts)
            self._beat()

    def _deletion_sweep(self) -> DeletionSweep:
        return DeletionSweep(
            self._services.database,
            self._connector,
            self._session,
            self._write_found,
            self._beat,
            is_confirmed=self._request.confirm_deletions,
        )

    def _write_found(self, target: BatchTarget, batch: Batch) -> None:
        """Records that a full read had not seen, as the vendor has them when asked by id."""
        with BatchWriter(self._services.database, target, self._mappers[target.stream.name]) as writer:
            self._books.add(target.stream, writer.write(batch))
        self._committed_at = time.monotonic()

    def _compare(self, stream: Stream, *, is_due: bool) -> None:
        """With the vendor's own numbers: after a full read, else once a day."""
        if self._compared is None:
            with self._services.database.tenant(self._request.tenant_id) as handle:
                self._compared = compared_lately(handle, self._request.tenant_id, self._request.connector_id)
        if is_due or stream.name not in self._compared:
            alongside(
                lambda: compare(
                    self._services.database, self._connector, self._session, self._row, stream, self._until
                ),
                self._beat,
            )

    def _close_session(self) -> None:
        if self._session is not None:
            self._session.close()

    def _target_at_end(self, stream: Stream) -> BatchTarget:
        return self._target(stream, Start(ReadFrom(SyncMode.FULL, self._until)))

    def _target(self, stream: Stream, start: Start) -> BatchTarget:
        return BatchTarget(
            tenant_id=self._request.tenant_id,
            connector_id=self._request.connector_id,
            sync_log_id=self._plan.sync_log_id,
            fence=self._plan.fence,
            stream=stream,
            mode=start.read.mode,
            until=start.read.until,
            slice=start.read.slice,
            generation=start.generation,
            mark_seen=start.generation > 0,
        )

    def _beat(self) -> None:
        age = time.monotonic() - self._committed_at
        self._pulse.beat = replace(self._pulse.beat, checkpoint_age_seconds=round(age, 1))
        self._pulse()
