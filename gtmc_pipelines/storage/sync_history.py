"""Sync logs as people and Dagster read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import SyncMode, SyncStatus, Trigger
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Row, rows
from gtmc_pipelines.storage.sync_logs import COUNTERS

_COLUMNS = (
    "l.id, l.tenant_id, l.connector_id, c.type AS connector, l.sync_type, l.status, l.outcome, l.phase, l.started_at,"
    " l.completed_at, l.error_code, l.error_kind, l.error_message, l.deferred_until, l.workflow_id,"
    " l.workflow_run_id, l.trigger, l.requested_by, l.dagster_run_id, l.cursor_before, l.cursor_after,"
    " l.stream_counts, l.vendor_usage, l.full_because, " + ", ".join(f"l.records_{name}" for name in COUNTERS)
)
_FROM = "FROM sync_logs l JOIN connectors c ON c.tenant_id = l.tenant_id AND c.id = l.connector_id"


@dataclass(frozen=True, slots=True)
class SyncLog:
    """One sync: its outcome and its balance sheet. `connector` is the type key."""

    id: str
    tenant_id: str
    connector_id: str
    connector: str
    sync_type: SyncMode
    status: SyncStatus
    outcome: str | None
    phase: str | None
    started_at: datetime
    completed_at: datetime | None
    error_code: str | None
    error_kind: str | None
    error_message: str | None
    deferred_until: datetime | None
    workflow_id: str | None
    workflow_run_id: str | None
    trigger: str | None
    requested_by: str | None
    dagster_run_id: str | None
    cursor_before: str | None = field(repr=False)
    cursor_after: str | None = field(repr=False)
    counts: Counts
    stream_counts: Mapping[str, Mapping[str, Any]]  # {stream: {"state": …, counters, "error": sentence}}
    vendor_usage: Mapping[str, int] = field(default_factory=dict)  # requests, and gauges like api_used, api_limit
    full_because: str | None = None  # why it is full, when it was asked for as incremental (model.phases)

    @property
    def kind(self) -> str:
        """What it is: `full`, `incremental`, or `renormalize` and `replay`, which read nothing from the vendor."""
        return self.trigger if self.trigger in (Trigger.RENORMALIZE, Trigger.REPLAY) else self.sync_type.value

    @property
    def seconds(self) -> float | None:
        """Duration; None while it runs."""
        return None if self.completed_at is None else (self.completed_at - self.started_at).total_seconds()

    def counts_of(self, stream: str) -> Counts:
        """The balance sheet of one stream; zeros when it wasn't read."""
        return Counts.of({name: int(self.stream_counts.get(stream, {}).get(name, 0)) for name in COUNTERS})


def list_syncs(
    database: Database, tenant_id: str | None = None, connector_id: str | None = None, limit: int = 50
) -> list[SyncLog]:
    """The newest syncs of a tenant or, without one, of all tenants."""
    return _select(
        database,
        tenant_id,
        "(%(connector_id)s::text IS NULL OR l.connector_id = %(connector_id)s)",
        {"connector_id": connector_id, "limit": limit},
    )


def get_sync(database: Database, tenant_id: str | None, text: str) -> SyncLog | None:
    """The newest sync whose id or workflow id is `text`, or whose id begins with it (6 characters at least); or None.

    Over all tenants when none is given.
    """
    named = "(%(text)s IN (l.id, l.workflow_id) OR (length(%(text)s) >= 6 AND starts_with(l.id, %(text)s)))"
    return next(iter(_select(database, tenant_id, named, {"text": text, "limit": 1})), None)


def require_sync(database: Database, tenant_id: str | None, text: str) -> SyncLog:
    """The same, or Misuse `unknown_sync`."""
    found = get_sync(database, tenant_id, text)
    if found is None:
        raise Misuse("unknown_sync", f"There is no sync {text[:120]!r}.", next_step="List them with `gtmc syncs list`.")
    return found


def finished_since(database: Database, since: datetime, limit: int = 500) -> list[SyncLog]:
    """Syncs of all tenants that ended at `since` or later, oldest first."""
    with database.fleet() as connection:
        found = rows(
            connection,
            f"SELECT {_COLUMNS} {_FROM} WHERE l.completed_at >= %(since)s"
            " ORDER BY l.completed_at, l.id LIMIT %(limit)s",
            {"since": since, "limit": limit},
        )
    return [_sync_log(values) for values in found]


def syncs_by_workflow(database: Database, workflow_ids: Iterable[str]) -> dict[str, SyncLog]:
    """The logs of these workflows by workflow id; one that never opened a log is not in it."""
    return {
        str(log.workflow_id): log for log in _fleet(database, "l.workflow_id = ANY (%(value)s)", list(workflow_ids))
    }


def syncs_of_run(database: Database, dagster_run_id: str) -> list[SyncLog]:
    """Syncs that a Dagster run asked for and that have ended, oldest first."""
    return _fleet(database, "l.dagster_run_id = %(value)s AND l.completed_at IS NOT NULL", dagster_run_id)


def _fleet(database: Database, condition: str, value: str | list[str]) -> list[SyncLog]:
    with database.fleet() as connection:
        statement = f"SELECT {_COLUMNS} {_FROM} WHERE {condition} ORDER BY l.completed_at, l.id"
        found = rows(connection, statement, {"value": value})
    return [_sync_log(values) for values in found]


def _select(database: Database, tenant_id: str | None, condition: str, parameters: Mapping[str, Any]) -> list[SyncLog]:
    statement = f"SELECT {_COLUMNS} {_FROM} WHERE {condition}"
    newest = " ORDER BY l.started_at DESC, l.id LIMIT %(limit)s"
    if tenant_id is None:
        with database.fleet() as connection:
            found = rows(connection, statement + newest, parameters)
    else:
        with database.tenant(tenant_id) as connection:
            found = rows(
                connection,
                statement + " AND l.tenant_id = %(tenant_id)s" + newest,
                {**parameters, "tenant_id": tenant_id},
            )
    return [_sync_log(values) for values in found]


def _sync_log(values: Row) -> SyncLog:
    counts = Counts(**{name: int(values.pop(f"records_{name}")) for name in COUNTERS})
    values |= {"sync_type": SyncMode(values["sync_type"]), "status": SyncStatus(values["status"]), "counts": counts}
    return SyncLog(**values)
