"""Sync logs: opened by a sync's first activity, counted up by every batch, closed by its last."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import FullBecause, Outcome, Phase, SyncMode, Trigger
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.statements import Handle, row, rows, run

COUNTERS = tuple(Counts().as_dict())
FAILED_VALUES = "failed_values"
"""Beside a stream's counts, where there are any: values that stayed null. Their records are counted as written."""

# The same workflow opening twice (a retried activity) gets its own row back.
_OPEN = """
INSERT INTO sync_logs (id, tenant_id, connector_id, sync_type, status, phase, trigger, requested_by, workflow_id,
                       workflow_run_id, dagster_run_id, cursor_before, full_because)
VALUES (%(id)s, %(tenant_id)s, %(connector_id)s, %(sync_type)s, 'running', %(phase)s, %(trigger)s, %(requested_by)s,
        %(workflow_id)s, %(workflow_run_id)s, %(dagster_run_id)s, %(cursor_before)s,
        %(full_because)s)
ON CONFLICT (tenant_id, workflow_run_id) DO UPDATE SET workflow_id = excluded.workflow_id
RETURNING id, xmax = 0 AS is_new
"""

_TOTALS = ", ".join(f"records_{name} = records_{name} + %({name})s" for name in COUNTERS)
_OF_STREAM = ", ".join(
    f"'{name}', coalesce((stream_counts -> %(stream)s ->> '{name}')::bigint, 0) + %({name})s" for name in COUNTERS
)
_ADD = f"""
UPDATE sync_logs
   SET {_TOTALS}, phase = %(phase)s,
       stream_counts = jsonb_set(stream_counts, ARRAY[%(stream)s],
           coalesce(stream_counts -> %(stream)s, '{{}}') || jsonb_strip_nulls(jsonb_build_object(
               'state', %(state)s::text, 'error', %(error)s::text, {_OF_STREAM},
               '{FAILED_VALUES}', nullif(coalesce((stream_counts -> %(stream)s ->> '{FAILED_VALUES}')::bigint, 0)
                                         + %({FAILED_VALUES})s, 0))))
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""  # noqa: S608 - constants only

_CLOSE = """
UPDATE sync_logs
   SET status = %(status)s, outcome = %(outcome)s, phase = %(phase)s, completed_at = now(), error_code = %(error_code)s,
       error_kind = %(error_kind)s, error_message = %(error)s, deferred_until = %(deferred_until)s,
       cursor_after = %(cursor_after)s
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND completed_at IS NULL
"""


def open_sync_log(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    *,
    mode: SyncMode,
    workflow_id: str,
    workflow_run_id: str,
    trigger: Trigger,
    requested_by: str | None = None,
    dagster_run_id: str | None = None,
    cursor_before: str | None = None,
    full_because: FullBecause | None = None,
) -> str:
    """Open the log of a sync and give its id; once for each `workflow_run_id`, however often it is called.

    `workflow_run_id` is the id of the workflow's first run: it stays the same over continue-as-new.
    """
    opened = row(
        handle,
        _OPEN,
        {
            "id": str(uuid.uuid4()),
            "tenant_id": tenant_id,
            "connector_id": connector_id,
            "sync_type": mode.value,
            "phase": Phase.AUTHENTICATING.value,
            "trigger": trigger.value,
            "requested_by": requested_by,
            "workflow_id": workflow_id,
            "workflow_run_id": workflow_run_id,
            "dagster_run_id": dagster_run_id,
            "cursor_before": cursor_before,
            "full_because": full_because,
        },
    )
    assert opened is not None
    if opened["is_new"]:
        audit.record(
            handle,
            tenant_id,
            actor=_actor(requested_by, dagster_run_id),
            action="sync.start",
            resource="connector",
            resource_id=connector_id,
            changes={"after": {"sync_log": opened["id"], "mode": mode.value, "trigger": trigger.value}},
            metadata={"workflow_id": workflow_id},
        )
    return str(opened["id"])


def _actor(requested_by: str | None, dagster_run_id: str | None) -> str:
    """Who the audit log says started a sync: a Dagster run by its id, a person, or the worker's own schedule."""
    if dagster_run_id:
        return f"dagster:{dagster_run_id}"
    return requested_by or "worker"


def add_counts(
    handle: Handle,
    tenant_id: str,
    sync_log_id: str,
    stream: str,
    delta: Counts,
    *,
    state: str = "running",
    phase: Phase = Phase.SYNCING,
    error: str | None = None,
    failed_values: int = 0,
) -> None:
    """Add a batch's counts to the totals and to its stream, in the transaction that writes the batch.

    `state` is the stream's: running, complete or failed; `error` one sentence when it failed. `failed_values`
    are optional values of these records that stayed null.
    Raises Broken `sync_log_missing`.
    """
    touched = run(
        handle,
        _ADD,
        {
            **delta.as_dict(),
            "tenant_id": tenant_id,
            "id": sync_log_id,
            "stream": stream,
            "state": state,
            "phase": phase.value,
            "error": error,
            FAILED_VALUES: failed_values,
        },
    )
    if touched == 0:
        raise Broken("sync_log_missing", "The log of this sync is gone.", next_step="Start the sync again.")


_USE = """
UPDATE sync_logs
   SET vendor_usage = vendor_usage || %(gauges)s::jsonb
       || jsonb_build_object('requests', coalesce((vendor_usage ->> 'requests')::bigint, 0) + %(requests)s)
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""
_USED = """
SELECT started_at, coalesce((vendor_usage ->> 'requests')::bigint, 0) AS requests,
       (vendor_usage ->> 'api_limit')::bigint AS api_limit
  FROM sync_logs
 WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s AND started_at > %(since)s AND vendor_usage <> '{}'
 ORDER BY started_at
"""


@dataclass(frozen=True, slots=True)
class Used:
    """What one sync has cost so far: requests, and the vendor's limit as told last (None: never)."""

    started_at: datetime
    requests: int
    api_limit: int | None


def add_usage(handle: Handle, tenant_id: str, sync_log_id: str, requests: int, gauges: Mapping[str, int]) -> None:
    """Add `requests` to what a sync has cost; the vendor's gauges replace those noted before."""
    values = {"tenant_id": tenant_id, "id": sync_log_id, "requests": requests, "gauges": Jsonb(dict(gauges))}
    run(handle, _USE, values)


def used_since(handle: Handle, tenant_id: str, connector_id: str, since: datetime) -> list[Used]:
    """What the syncs of a connector that began after `since` have cost, oldest first."""
    values = {"tenant_id": tenant_id, "connector_id": connector_id, "since": since}
    return [Used(**each) for each in rows(handle, _USED, values)]


def set_phase(handle: Handle, tenant_id: str, sync_log_id: str, phase: Phase) -> None:
    """Note the phase of a running sync."""
    run(
        handle,
        "UPDATE sync_logs SET phase = %(phase)s"
        " WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND completed_at IS NULL",
        {"tenant_id": tenant_id, "id": sync_log_id, "phase": phase.value},
    )


def close_sync_log(
    handle: Handle,
    tenant_id: str,
    sync_log_id: str,
    outcome: Outcome,
    *,
    error_code: str | None = None,
    error_kind: str | None = None,
    error: str | None = None,
    deferred_until: datetime | None = None,
    cursor_after: str | None = None,
) -> bool:
    """Close a log with its outcome; False when it was closed before (then nothing changes)."""
    phase = Phase.COMPLETE if outcome is Outcome.COMPLETED else Phase.FAILED
    touched = run(
        handle,
        _CLOSE,
        {
            "tenant_id": tenant_id,
            "id": sync_log_id,
            "status": outcome.status.value,
            "outcome": outcome.value,
            "phase": phase.value,
            "error_code": error_code,
            "error_kind": error_kind,
            "error": error,
            "deferred_until": deferred_until,
            "cursor_after": cursor_after,
        },
    )
    return touched == 1
