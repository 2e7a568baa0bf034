"""open_sync: consent, lease, books and credentials, before anything is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.storage import cursors, leases
from gtmc_pipelines.storage.connector_states import set_status, standing
from gtmc_pipelines.storage.connectors import ConnectorRow, require_connector
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.storage.statements import Handle
from gtmc_pipelines.storage.sync_logs import open_sync_log
from gtmc_pipelines.workflows.activities.ahead import alongside
from gtmc_pipelines.workflows.activities.consent import require_consent
from gtmc_pipelines.workflows.activities.positions import cursor_text, mode_of
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.activities.sessions import open_session
from gtmc_pipelines.workflows.inputs import SyncPlan, SyncRequest


def open_sync(
    services: Services, request: SyncRequest, workflow_id: str, owner_run: str, pulse: Callable[[], None]
) -> SyncPlan:
    """Take the lease, open the log, prove the credentials; or say who holds the lease.

    The owner is the workflow's first run, so that a repeated attempt and a continued run are the same
    owner. Raises a fault by whose turn it is; the lease is then given back by `finalize`.
    """
    request = typed(services, request)
    require_consent(services.database, request)
    row = require_connector(services.database, request.tenant_id, request.connector_id)
    _require_type(row, request)
    streams = selected_streams(request)
    dead_run: str | None = None
    while True:
        opened = _take_and_open(services, request, streams, workflow_id, owner_run, dead_run)
        if isinstance(opened, SyncPlan):
            break
        if services.is_running(opened):
            return SyncPlan(held_by=opened.owner_workflow, mode=request.mode)
        dead_run = opened.owner_run
    alongside(lambda: open_session(services, row).close(), pulse)  # proves that there are credentials
    return opened


def typed(services: Services, request: SyncRequest) -> SyncRequest:
    """The request with its connector's type, which the documented input leaves out. Raises Misuse if there is none."""
    if request.connector_type is not None:
        return request
    return replace(
        request, connector_type=require_connector(services.database, request.tenant_id, request.connector_id).type
    )


def selected_streams(request: SyncRequest) -> tuple[Stream, ...]:
    """The streams a request names, in the catalog's order; all when it names none. Raises Misuse for others."""
    catalog = STREAMS[request.kind]
    unknown = sorted(set(request.streams) - {stream.name for stream in catalog})
    if unknown:
        raise Misuse(
            "unknown_stream",
            f"{request.kind.label} has no stream {unknown[0][:80]!r}.",
            next_step=f"It has: {', '.join(stream.name for stream in catalog)}.",
        )
    return tuple(stream for stream in catalog if not request.streams or stream.name in request.streams)


def _require_type(row: ConnectorRow, request: SyncRequest) -> None:
    if row.type is not request.kind:  # consent is asked for by type: a wrong one must not pass it by
        raise Misuse(
            "wrong_connector_type",
            f"Connector {row.id} is of type {row.type}, not {request.kind}.",
            next_step="Start the sync with the connector's own type.",
        )


def _require_connected(handle: Handle, request: SyncRequest) -> None:
    """As it is now, and stays until the sync is on the books: a connector that was disconnected stays so."""
    tenant, kind = request.tenant_id, request.kind
    if standing(handle, tenant, request.connector_id).status is ConnectorStatus.DISCONNECTED:
        raise Reauthorize(
            "not_connected",
            f"{kind.label} of tenant {tenant} is not connected.",
            next_step=f"Connect it: gtmc connectors connect --tenant {tenant} --connector {kind}",
        )


def _take_and_open(
    services: Services,
    request: SyncRequest,
    streams: tuple[Stream, ...],
    workflow_id: str,
    owner_run: str,
    dead_run: str | None,
) -> SyncPlan | Held:
    """Lease, log and status in one transaction: either this sync is on the books, or nothing happened."""
    tenant, connector = request.tenant_id, request.connector_id
    with services.database.tenant(tenant) as handle:
        namespace = services.settings.temporal_namespace
        fence = leases.take(handle, tenant, connector, owner_run, workflow_id, dead_run, namespace=namespace)
        if isinstance(fence, Held):
            return fence
        _require_connected(handle, request)
        states = cursors.list_states(handle, tenant, connector)
        mode, full_because = mode_of(request.mode, streams, states)
        log_id = open_sync_log(
            handle,
            tenant,
            connector,
            mode=mode,
            workflow_id=workflow_id,
            workflow_run_id=owner_run,
            trigger=request.trigger,
            requested_by=request.requested_by or None,
            dagster_run_id=request.dagster_run_id or None,
            cursor_before=cursor_text(states),
            full_because=full_because,
        )
        set_status(handle, tenant, connector, ConnectorStatus.SYNCING)
    names = tuple(stream.name for stream in streams)
    return SyncPlan(fence, log_id, mode, datetime.now(UTC), names, connector_type=request.kind)
