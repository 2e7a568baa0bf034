"""Changes of a connector's state: status, schedule, options, disconnection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.noted_addresses import ADDRESS_CHANGED
from gtmc_pipelines.storage import audit, connection_owners, credentials, leases, stream_fields
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, Row, row, rows, run

_BEFORE = """
SELECT name, status, schedule_cron, schedule_timezone, coalesce(config -> 'options', '{}') AS options
  FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s FOR UPDATE
"""
_EXISTS = "SELECT FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s"
_ORGANIZATION = """
SELECT config #>> '{options,organization_id}' AS organization FROM connectors
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""
_STANDING = """
SELECT status, (config ->> 'connected_at')::timestamptz AS connected_at
  FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s FOR UPDATE
"""
_CONNECT = """
UPDATE connectors
   SET config = config || jsonb_build_object('connected_at', clock_timestamp(),
                                             'options', coalesce(config -> 'options', '{}') || %(options)s),
       status = CASE WHEN status = 'syncing' AND NOT %(starts_over)s THEN status ELSE 'connected' END,
       error_code = NULL, error_kind = NULL, last_sync_error = NULL"""
_REBIND = """
UPDATE connectors
   SET config = jsonb_set(config, '{options}', %(options)s),
       status = CASE WHEN status = 'error' AND error_code = %(code)s THEN 'connected' ELSE status END,
       last_sync_error = CASE WHEN error_code = %(code)s THEN NULL ELSE last_sync_error END,
       error_kind = CASE WHEN error_code = %(code)s THEN NULL ELSE error_kind END,
       error_code = nullif(error_code, %(code)s)"""
_CHANGED = ", version = version + 1, updated_at = now() WHERE tenant_id = %(tenant_id)s AND id = %(id)s"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a connector stands. `connected_at`: when its grant or key was stored, if ever."""

    status: ConnectorStatus
    connected_at: datetime | None


def standing(handle: Handle, tenant_id: str, connector_id: str) -> Standing:
    """How the connector stands, which nobody changes until the caller's transaction ends.

    A lease that is needed too is taken first. Raises Misuse `unknown_connector`.
    """
    found = row(handle, _STANDING, {"tenant_id": tenant_id, "id": connector_id})
    _must_exist(int(found is not None), tenant_id, connector_id)
    assert found is not None
    return Standing(**found | {"status": ConnectorStatus(found["status"])})


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
        "UPDATE connectors SET status = %(status)s, last_sync_at = coalesce(%(synced_at)s, last_sync_at),"  # noqa: S608 - constants only
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
        "UPDATE connectors SET status = CASE WHEN error_code IS NULL THEN 'connected' ELSE 'error' END"  # noqa: S608 - constants only
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
            "UPDATE connectors SET schedule_cron = %(cron)s, schedule_timezone = %(timezone)s" + _CHANGED,  # noqa: S608 - constants only
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
            "UPDATE connectors SET config = jsonb_set(config, '{options}', %(options)s)" + _CHANGED,  # noqa: S608 - constants only
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
            "UPDATE connectors SET name = %(name)s" + _CHANGED,  # noqa: S608 - constants only
            {"tenant_id": tenant_id, "id": connector_id, "name": name},
        )
        changes = {"before": {"name": before["name"]}, "after": {"name": name}}
        _audit(connection, tenant_id, connector_id, actor, "connector.update", changes)


def organization_of(handle: Handle, tenant_id: str, connector_id: str) -> str | None:
    """The vendor's organization a connector was connected to, where its grants name one; or None."""
    found = row(handle, _ORGANIZATION, {"tenant_id": tenant_id, "id": connector_id})
    return None if found is None else found["organization"]


def connect(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    options: Mapping[str, Any],
    *,
    starts_over: bool,
    actor: str,
    after: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Note that a connector was connected, in the transaction that stored its secrets; gives its options.

    `options` are added to those there are. A running sync goes on, unless the grant `starts_over` (see
    `start_over`). `after` is what the audit log says besides. Raises Misuse `unknown_connector`.
    """
    if starts_over:
        start_over(handle, tenant_id, connector_id)
    before = _before(handle, tenant_id, connector_id)
    values = {"tenant_id": tenant_id, "id": connector_id, "options": Jsonb(dict(options)), "starts_over": starts_over}
    run(handle, _CONNECT + _CHANGED, values)
    merged = {**before["options"], **options}
    changes = {
        "before": {"status": before["status"], "options": before["options"]},
        "after": {"status": "connected", "options": merged, "starts_over": starts_over, **after},
    }
    _audit(handle, tenant_id, connector_id, actor, "connector.connect", changes)
    return merged


def rebind(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    options: Mapping[str, Any],
    *,
    actor: str,
    changes: Mapping[str, Any],
) -> None:
    """Replace a connector's options in the transaction that stored where its secrets may be sent from now on.

    One that waits because its address had changed is connected again. Raises Misuse `unknown_connector`.
    """
    _before(handle, tenant_id, connector_id)
    run(
        handle,
        _REBIND + _CHANGED,
        {"tenant_id": tenant_id, "id": connector_id, "options": Jsonb(dict(options)), "code": ADDRESS_CHANGED},
    )
    _audit(handle, tenant_id, connector_id, actor, "connector.rebind", changes)


def disconnect(database: Database, tenant_id: str, connector_id: str, *, actor: str = "system") -> None:
    """Forget a connector's secrets, cursors and account; rows and options stay. A running sync is cut off."""
    with database.tenant(tenant_id) as handle:
        credentials.lock(handle, tenant_id, connector_id)
        forget(handle, tenant_id, connector_id, actor=actor)


def forget(handle: Handle, tenant_id: str, connector_id: str, *, actor: str) -> None:
    """What `disconnect` does, in the transaction of a caller who has locked the credentials.

    A renewal under way would otherwise put its secrets back.
    """
    values = {"tenant_id": tenant_id, "id": connector_id, "status": ConnectorStatus.DISCONNECTED.value}
    start_over(handle, tenant_id, connector_id)
    connection_owners.release(handle, tenant_id, connector_id)
    before = _before(handle, tenant_id, connector_id)
    run(
        handle,
        "UPDATE connectors SET status = %(status)s, config = jsonb_set(config, '{secrets}', '{}'),"  # noqa: S608 - constants only
        " error_code = NULL, error_kind = NULL, last_sync_error = NULL" + _CHANGED,
        values,
    )
    changes = {"before": {"status": before["status"]}, "after": {"status": values["status"]}}
    _audit(handle, tenant_id, connector_id, actor, "connector.disconnect", changes)


def start_over(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """Forget the cursors, and cut a running sync off: it would write its own of the old account again.

    They mean nothing to another account of the vendor. The next sync reads everything; records that didn't
    change cost next to nothing.
    """
    values = {"tenant_id": tenant_id, "id": connector_id}
    _must_exist(len(rows(handle, _EXISTS, values)), tenant_id, connector_id)
    leases.revoke(handle, tenant_id, connector_id)
    run(handle, "UPDATE connectors SET last_sync_cursor = NULL" + _CHANGED, values)  # noqa: S608 - constants only
    run(handle, "DELETE FROM stream_cursors WHERE tenant_id = %(tenant_id)s AND connector_id = %(id)s", values)
    run(handle, "DELETE FROM left_out_slices WHERE tenant_id = %(tenant_id)s AND connector_id = %(id)s", values)
    stream_fields.clear_fields(handle, tenant_id, connector_id)


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
