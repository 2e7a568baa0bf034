"""Activities of RenormalizeWorkflow: lease and books, raw pages through the mapping of today, closed books."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.phases import Outcome, Phase, SyncMode
from gtmc_pipelines.storage import cursors, leases
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.connector_states import restore_status, set_status, standing
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.storage.renormalize import PAGE_RECORDS, Position, RawRewriter, raw_page, read_position
from gtmc_pipelines.storage.sync_history import get_sync
from gtmc_pipelines.storage.sync_logs import close_sync_log, open_sync_log
from gtmc_pipelines.workflows.activities.books import Books, counts_in
from gtmc_pipelines.workflows.activities.cancelled import audit_cancelled
from gtmc_pipelines.workflows.activities.consent import require_consent
from gtmc_pipelines.workflows.activities.mappers import mappers_of
from gtmc_pipelines.workflows.activities.open_sync import selected_streams, typed
from gtmc_pipelines.workflows.activities.positions import cursor_text
from gtmc_pipelines.workflows.activities.pulse import Pulse
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.inputs import Beat, FaultNote, FinalizeRequest, SegmentResult, SyncOutcome, SyncPlan
from gtmc_pipelines.workflows.inputs import SyncRequest as Request

_CANCELLED = FaultNote("Cancelled", "cancelled", "It was cancelled; what it had written is kept.", "Start it again.")


def open_renormalize(services: Services, request: Request, workflow_id: str, owner_run: str) -> SyncPlan:
    """Take the connector's lease and open a log; or say who holds the lease. Needs no credentials."""
    request = typed(services, request)
    require_consent(services.database, request)
    require_connector(services.database, request.tenant_id, request.connector_id)
    streams = tuple(stream.name for stream in selected_streams(request))
    dead_run: str | None = None
    while True:
        opened = _take_and_open(services, request, workflow_id, owner_run, dead_run)
        if not isinstance(opened, Held):
            return replace(opened, streams=streams, connector_type=request.kind)
        if services.is_running(opened):
            return SyncPlan(held_by=opened.owner_workflow, mode=request.mode)
        dead_run = opened.owner_run


def renormalize_segment(services: Services, request: Request, plan: SyncPlan, pulse: Pulse) -> SegmentResult:
    """Go on from the position in the log until every stream is done or a segment's bound is reached."""
    row = require_connector(services.database, request.tenant_id, request.connector_id)
    books = Books(services.database, request.tenant_id, plan.sync_log_id)
    streams = list(selected_streams(request))
    with services.database.tenant(request.tenant_id) as handle:
        at = read_position(handle, request.tenant_id, plan.sync_log_id) or Position(streams[0].name)
    names = [stream.name for stream in streams]
    written = batches = 0
    for stream in streams[names.index(at.stream) :]:
        after = at.after if stream.name == at.stream else ""
        mappers = mappers_of(services.database, connector_of(row.type), row, stream)
        with RawRewriter(services.database, _target(request, plan, stream), mappers) as writer:
            while after is not None:
                pulse.beat = Beat(Phase.WRITING, stream.name, books.counts)
                pulse()
                require_consent(services.database, request)
                page = raw_page(services.database, request.tenant_id, stream, after)
                after = page[-1].external_id if len(page) == PAGE_RECORDS else None
                books.add(stream, writer.write(Batch(page, after)))
                written, batches = written + len(page), batches + 1
                if written >= services.settings.segment_records and (after is not None or stream is not streams[-1]):
                    return SegmentResult(False, written, batches)
    return SegmentResult(True, written, batches)


def finalize_renormalize(services: Services, call: FinalizeRequest, workflow_id: str) -> SyncOutcome:
    """Close the log, give the lease back and the connector the status it had. May be repeated.

    Without a plan the log is looked up: the workflow may have been cancelled while it was being opened.
    """
    request, plan = call.request, call.plan
    fault = _CANCELLED if call.outcome is Outcome.CANCELLED else call.fault
    tenant, connector = request.tenant_id, request.connector_id
    log = get_sync(services.database, tenant, plan.sync_log_id if plan else workflow_id)
    log_id = log.id if log else ""
    outcome = SyncOutcome(
        call.outcome,
        request.mode,
        counts_in(log) if log else {},
        error_code=fault.code if fault else "",
        error=fault.sentence if fault else "",
        next_step=fault.next_step if fault else "",
        sync_log_id=log_id,
    )
    if log is None:  # it never got as far as the books
        return outcome
    with services.database.tenant(tenant) as handle:
        cursor = cursor_text(cursors.list_states(handle, tenant, connector))
        is_first_time = close_sync_log(handle, tenant, log_id, call.outcome, cursor_after=cursor, **_error(fault))
        if is_first_time and call.outcome is Outcome.CANCELLED:
            audit_cancelled(handle, call, log_id)
        if leases.release(handle, tenant, connector, call.owner_run_id) and is_first_time:
            restore_status(handle, tenant, connector)
    return outcome


def _take_and_open(
    services: Services, request: Request, workflow_id: str, owner_run: str, dead_run: str | None
) -> SyncPlan | Held:
    tenant, connector = request.tenant_id, request.connector_id
    with services.database.tenant(tenant) as handle:
        namespace = services.settings.temporal_namespace
        fence = leases.take(handle, tenant, connector, owner_run, workflow_id, dead_run, namespace=namespace)
        if isinstance(fence, Held):
            return fence
        is_connected = standing(handle, tenant, connector).status is not ConnectorStatus.DISCONNECTED
        log_id = open_sync_log(
            handle,
            tenant,
            connector,
            mode=SyncMode.INCREMENTAL,  # of the documented two; the trigger says what it is (SyncLog.kind)
            workflow_id=workflow_id,
            workflow_run_id=owner_run,
            trigger=request.trigger,
            requested_by=request.requested_by or None,
            dagster_run_id=request.dagster_run_id or None,
        )
        if is_connected:
            set_status(handle, tenant, connector, ConnectorStatus.SYNCING)
    return SyncPlan(fence, log_id, request.mode, datetime.now(UTC))


def _target(request: Request, plan: SyncPlan, stream: Stream) -> BatchTarget:
    return BatchTarget(
        tenant_id=request.tenant_id,
        connector_id=request.connector_id,
        sync_log_id=plan.sync_log_id,
        fence=plan.fence,
        stream=stream,
        mode=SyncMode.FULL,
        until=plan.until or datetime.now(UTC),
    )


def _error(fault: FaultNote | None) -> dict[str, Any]:
    return {} if fault is None else {"error_code": fault.code, "error_kind": fault.leaf.lower(), "error": fault.text}
