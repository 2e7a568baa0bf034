"""Changes of a connector's state: status, schedule, options, disconnection."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are parameters

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, Row, row, run

_BEFORE = """
SELECT name, status, schedule_cron, schedule_timezone, coalesce(config -> 'options', '{}') AS options
  FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s FOR UPDATE
"""
_CHANGED = ", version = version + 1, updated_at = now() WHERE tenant_id = %(tenant_id)s AND id = %(id)s"


def set_status(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    status: ConnectorStatus,
    *,
    error_code: str | None = None,
    error_kind: str | None = None,
    error: str | None = None,
    synced_at: datetime | None = None,
    cursor: str | None = None,
) -> None:
    """Set the status in the caller's transaction.

    `syncing` keeps the last error until the sync has ended; every other status replaces it by what is
    given. `error` is one sentence with its next step, `error_kind` the leaf of the error tree in lower
    case (`reauthorize`, …). `synced_at` and `cursor` are set after a successful sync only; None keeps
    what is there. Raises Misuse `unknown_connector`.
    """
    errors = (
        ""
        if status is ConnectorStatus.SYNCING
        else (", error_code = %(error_code)s, error_kind = %(error_kind)s, last_sync_error = %(error)s")
    )
    touched = run(
        handle,
        "UPDATE connectors SET status = %(status)s, last_sync_at = coalesce(%(synced_at)s, last_sync_at),"
        f" last_sync_cursor = coalesce(%(cursor)s, last_sync_cursor){errors}{_CHANGED}",
        {
            "tenant_id": tenant_id,
            "id": connector_id,
            "status": status.value,
            "error_code": error_code,
            "error_kind": error_kind,
            "error": error,
            "synced_at": synced_at,
            "cursor": cursor,
        },
    )
    _must_exist(touched, tenant_id, connector_id)


def restore_status(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """From `syncing` back to what the last sync left behind, error and all: this one has proved nothing."""
    run(
        handle,
        "UPDATE connectors SET status = CASE WHEN error_code IS NULL THEN 'connected' ELSE 'error' END"
        + _CHANGED
        + " AND status = 'syncing'",
        {"tenant_id": tenant_id, "id": connector_id},
    )


def set_schedule(
    database: Database,
    tenant_id: str,
    connector_id: str,
    cron: str | None,
    timezone: str = "UTC",
    *,
    actor: str = "system",
) -> None:
    """Give a connector its own cron, or with None the default cadence back. The caller has validated both."""
    values = {"tenant_id": tenant_id, "id": connector_id, "cron": cron, "timezone": timezone}
    with database.tenant(tenant_id) as connection:
        found = _before(connection, tenant_id, connector_id)
        run(
            connection,
            "UPDATE connectors SET schedule_cron = %(cron)s, schedule_timezone = %(timezone)s" + _CHANGED,
            values,
        )
        before = {"cron": found["schedule_cron"], "timezone": found["schedule_timezone"]}
        changes = {"before": before, "after": {"cron": cron, "timezone": timezone}}
        _audit(connection, tenant_id, connector_id, actor, "connector.schedule", changes)


def set_options(
    database: Database, tenant_id: str, connector_id: str, options: Mapping[str, Any], *, actor: str = "system"
) -> None:
    """Replace a connector's plain settings."""
    values = {"tenant_id": tenant_id, "id": connector_id, "options": Jsonb(dict(options))}
    with database.tenant(tenant_id) as connection:
        before = _before(connection, tenant_id, connector_id)
        run(
            connection,
            "UPDATE connectors SET config = jsonb_set(config, '{options}', %(options)s)" + _CHANGED,
            values,
        )
        changes = {"before": {"options": before["options"]}, "after": {"options": dict(options)}}
        _audit(connection, tenant_id, connector_id, actor, "connector.update", changes)


def rename(database: Database, tenant_id: str, connector_id: str, name: str, *, actor: str = "system") -> None:
    """Give a connector another name for people."""
    with database.tenant(tenant_id) as connection:
        before = _before(connection, tenant_id, connector_id)
        run(
            connection,
            "UPDATE connectors SET name = %(name)s" + _CHANGED,
            {"tenant_id": tenant_id, "id": connector_id, "name": name},
        )
        changes = {"before": {"name": before["name"]}, "after": {"name": name}}
        _audit(connection, tenant_id, connector_id, actor, "connector.update", changes)


def disconnect(database: Database, tenant_id: str, connector_id: str, *, actor: str = "system") -> None:
    """Forget a connector's secrets and cursors; its rows and its options stay.

    Cursors go because the next connection may be to another organization of the vendor: the first
    sync after it reads everything again, and records that didn't change cost next to nothing.
    """
    values = {"tenant_id": tenant_id, "id": connector_id, "status": ConnectorStatus.DISCONNECTED.value}
    with database.tenant(tenant_id) as connection:
        before = _before(connection, tenant_id, connector_id)
        run(
            connection,
            "UPDATE connectors SET status = %(status)s, config = jsonb_set(config, '{secrets}', '{}'),"
            " error_code = NULL, error_kind = NULL, last_sync_error = NULL, last_sync_cursor = NULL" + _CHANGED,
            values,
        )
        run(
            connection,
            "DELETE FROM stream_cursors WHERE tenant_id = %(tenant_id)s AND connector_id = %(id)s",
            values,
        )
        changes = {"before": {"status": before["status"]}, "after": {"status": values["status"]}}
        _audit(connection, tenant_id, connector_id, actor, "connector.disconnect", changes)


def _before(handle: Handle, tenant_id: str, connector_id: str) -> Row:
    """What the connector is before it is changed; the row is locked, so that the log tells a true story."""
    found = row(handle, _BEFORE, {"tenant_id": tenant_id, "id": connector_id})
    _must_exist(int(found is not None), tenant_id, connector_id)
    return found or {}


def _audit(
    handle: Handle, tenant_id: str, connector_id: str, actor: str, action: str, changes: Mapping[str, Any]
) -> None:
    audit.record(
        handle,
        tenant_id,
        actor=actor,
        action=action,
        resource="connector",
        resource_id=connector_id,
        changes=changes,
    )


def _must_exist(touched: int, tenant_id: str, connector_id: str) -> None:
    if touched == 0:
        raise Misuse(
            "unknown_connector",
            f"Tenant {tenant_id} has no connector {connector_id[:80]!r}.",
            next_step="List them with `gtmc connectors list`.",
        )
