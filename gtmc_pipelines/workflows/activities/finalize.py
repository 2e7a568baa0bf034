"""finalize: closes the books of a sync, however it ended, in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines.storage import connector_states, cursors, leases
from gtmc_pipelines.storage.connector_states import Standing, restore_status, set_status
from gtmc_pipelines.storage.connectors import get_connector
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.storage.left_out import put_on_log
from gtmc_pipelines.storage.o365 import NOT_ACCEPTED, get_config
from gtmc_pipelines.storage.statements import Handle
from gtmc_pipelines.storage.sync_history import SyncLog, get_sync
from gtmc_pipelines.storage.sync_logs import close_sync_log, open_sync_log
from gtmc_pipelines.workflows.activities.books import counts_in, failures_in
from gtmc_pipelines.workflows.activities.cancelled import audit_cancelled
from gtmc_pipelines.workflows.activities.positions import cursor_text
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.inputs import FaultNote, FinalizeRequest, SyncOutcome

_CANCELLED = FaultNote(
    "Cancelled",
    "cancelled",
    "The sync was cancelled; what it had written is kept.",
    "Start it again when you like: it goes on at its checkpoint.",
)


def finalize(services: Services, call: FinalizeRequest, workflow_id: str, now: datetime) -> SyncOutcome:
    """Log, status, cursor and lease together; gives the outcome with the balance sheet. May be repeated.

    The status is left alone when the lease is another sync's by now or was taken away, when this one was
    closed before, or when the connector was disconnected meanwhile. It is not an error when the user has
    answered it meanwhile.
    """
    request = call.request
    row = get_connector(services.database, request.tenant_id, request.connector_id)
    if row is None:
        return _outcome(call, call.fault, {}, {}, "")
    with services.database.tenant(request.tenant_id) as handle:
        log_id = _log_of(handle, call, workflow_id)
    log = get_sync(services.database, request.tenant_id, log_id)
    failures = failures_in(log) if log else {}
    fault = call.fault or (_streams_failed(failures) if failures and call.outcome is Outcome.COMPLETED else None)
    if call.outcome is Outcome.CANCELLED:
        fault = _CANCELLED
    outcome = _outcome(call, fault, counts_in(log) if log else {}, failures, log_id)
    with services.database.tenant(request.tenant_id) as handle:
        namespace = services.settings.temporal_namespace
        lease = leases.take(
            handle, request.tenant_id, request.connector_id, call.owner_run_id, workflow_id, namespace=namespace
        )
        is_ours = not isinstance(lease, Held) and (call.plan is None or lease == call.plan.fence)
        is_first_time = _close_log(handle, call, outcome, fault)
        standing = connector_states.standing(handle, request.tenant_id, request.connector_id)
        if is_ours and is_first_time and standing.status is not ConnectorStatus.DISCONNECTED:
            is_answered = fault is not None and _is_answered(handle, call, fault, standing, log)
            _set_status(handle, call, outcome, None if is_answered else fault, now)
        if is_first_time and call.outcome is Outcome.CANCELLED:
            audit_cancelled(handle, call, log_id)
        leases.release(handle, request.tenant_id, request.connector_id, call.owner_run_id)
    return outcome


def _log_of(handle: Handle, call: FinalizeRequest, workflow_id: str) -> str:
    """The sync's log; a sync that failed before it had one gets one now, so that its failure is on the books."""
    request = call.request
    return open_sync_log(
        handle,
        request.tenant_id,
        request.connector_id,
        mode=call.plan.mode if call.plan else request.mode,
        workflow_id=workflow_id,
        workflow_run_id=call.owner_run_id,
        trigger=request.trigger,
        requested_by=request.requested_by or None,
        dagster_run_id=request.dagster_run_id or None,
    )


def _streams_failed(failures: dict[str, str]) -> FaultNote:
    """The fault of a sync whose streams didn't all complete: names each, gives the first one's sentence."""
    names = ", ".join(sorted(failures))
    first = next(iter(failures.values()))
    return FaultNote("Broken", "streams_failed", f"These streams failed: {names}. The others are complete.", first)


def _outcome(
    call: FinalizeRequest,
    fault: FaultNote | None,
    counts: dict[str, dict[str, int]],
    failures: dict[str, str],
    log_id: str,
) -> SyncOutcome:
    is_success = call.outcome is Outcome.COMPLETED and fault is None
    return SyncOutcome(
        outcome=Outcome.FAILED if call.outcome is Outcome.COMPLETED and not is_success else call.outcome,
        mode=call.plan.mode if call.plan else call.request.mode,
        counts=counts,
        error_code=fault.code if fault else "",
        error=fault.sentence if fault else "",
        next_step=fault.next_step if fault else "",
        deferred_until=fault.until if fault else None,
        sync_log_id=log_id,
        failed_streams=failures,
    )


def _close_log(handle: Handle, call: FinalizeRequest, outcome: SyncOutcome, fault: FaultNote | None) -> bool:
    request = call.request
    states = cursors.list_states(handle, request.tenant_id, request.connector_id)
    put_on_log(handle, request.tenant_id, request.connector_id, outcome.sync_log_id)
    return close_sync_log(
        handle,
        request.tenant_id,
        outcome.sync_log_id,
        outcome.outcome,
        cursor_after=cursor_text(states),
        deferred_until=outcome.deferred_until,
        **_error(fault),
    )


def _set_status(
    handle: Handle, call: FinalizeRequest, outcome: SyncOutcome, fault: FaultNote | None, now: datetime
) -> None:
    tenant, connector = call.request.tenant_id, call.request.connector_id
    if outcome.is_success:
        cursor = cursor_text(cursors.list_states(handle, tenant, connector))
        set_status(handle, tenant, connector, ConnectorStatus.CONNECTED, synced_at=now, cursor=cursor)
    elif outcome.outcome is Outcome.CANCELLED:
        restore_status(handle, tenant, connector)
    elif fault is None:
        set_status(handle, tenant, connector, ConnectorStatus.CONNECTED)
    else:
        set_status(handle, tenant, connector, ConnectorStatus.ERROR, **_error(fault))


def _is_answered(
    handle: Handle, call: FinalizeRequest, fault: FaultNote, standing: Standing, log: SyncLog | None
) -> bool:
    """Whether the user has done meanwhile what the fault asks for: agreed, or connected again since the sync began."""
    if fault.code == NOT_ACCEPTED:
        return get_config(handle, call.request.tenant_id).is_accepted
    is_for_the_user = fault.leaf == Reauthorize.__name__
    return bool(is_for_the_user and log and standing.connected_at and standing.connected_at > log.started_at)


def _error(fault: FaultNote | None) -> dict[str, Any]:
    if fault is None:
        return {}
    text = fault.text
    if fault.until is not None and not fault.next_step:
        text = f"{text} It goes on by itself soon after {fault.until:%Y-%m-%d %H:%M} UTC."
    return {"error_code": fault.code, "error_kind": fault.leaf.lower(), "error": text}
