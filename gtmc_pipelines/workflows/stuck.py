"""Stuck connectors: those on `syncing` whose workflow is gone are freed, with the cause on the books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.model.phases import Outcome, SyncStatus
from gtmc_pipelines.storage import audit, leases
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, get_connector, list_connectors
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines.storage.sync_logs import close_sync_log
from gtmc_pipelines.workflows.liveness import UNKNOWN_NAMESPACE

CODE = "workflow_lost"
SENTENCE = "The workflow of the last sync ended without closing its books."
NEXT_STEP = "Start a sync: it goes on at the checkpoint. The Temporal UI shows what ended the workflow."
_OURS = "reconciler"


@dataclass(frozen=True, slots=True)
class Freed:
    """A connector that was stuck, and the workflow that had left it so."""

    tenant_id: str
    connector_id: str
    connector_type: ConnectorType
    workflow_id: str


def free_stuck(database: Database, is_running: Callable[[Held], bool]) -> list[Freed]:
    """Put every connector whose sync is gone on `error`, close its open logs and free its lease.

    `is_running` says whether a lease's workflow is open and raises when that is in doubt: then nothing more is freed.
    A lease whose namespace is unknown is left alone, and raised by a look that has freed no other.
    """
    freed: list[Freed] = []
    doubts: list[Retry] = []
    for row in list_connectors(database):
        if row.status is not ConnectorStatus.SYNCING:
            continue
        try:
            found = _free_if_gone(database, row, is_running)
        except Retry as doubt:
            if doubt.code != UNKNOWN_NAMESPACE:
                raise
            doubts.append(doubt)
        else:
            freed += [found] if found is not None else []
    if doubts and not freed:  # what was freed is told first; the doubt comes up again at the next look
        raise doubts[0]
    return freed


def _free_if_gone(database: Database, row: ConnectorRow, is_running: Callable[[Held], bool]) -> Freed | None:
    with database.tenant(row.tenant_id) as handle:
        held = leases.holder(handle, row.tenant_id, row.id)
    if held is not None and is_running(held):
        return None
    running = [log for log in list_syncs(database, row.tenant_id, row.id) if log.status is SyncStatus.RUNNING]
    cause: dict[str, Any] = {"error_code": CODE, "error_kind": "broken", "error": f"{SENTENCE} {NEXT_STEP}"}
    with database.tenant(row.tenant_id) as handle:
        lease = leases.take(handle, row.tenant_id, row.id, _OURS, _OURS, held.owner_run if held else None)
        if isinstance(lease, Held):
            return None  # somebody started a new sync meanwhile
        leases.release(handle, row.tenant_id, row.id, _OURS)
        now = get_connector(database, row.tenant_id, row.id)
        if now is None or now.status is not ConnectorStatus.SYNCING:
            return None  # it closed its books while we were asking
        for log in running:
            close_sync_log(handle, row.tenant_id, log.id, Outcome.FAILED, **cause)
        set_status(handle, row.tenant_id, row.id, ConnectorStatus.ERROR, **cause)
        audit.record(
            handle,
            row.tenant_id,
            actor=_OURS,
            action="connector.free",
            resource="connector",
            resource_id=row.id,
            changes={"before": {"status": "syncing"}, "after": {"status": "error", "error_code": CODE}},
        )
    return Freed(row.tenant_id, row.id, row.type, held.owner_workflow if held else "")
