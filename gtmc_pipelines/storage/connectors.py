"""Connector rows: adding, finding, listing. No function here reads or gives a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.ids import new_connector_id
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Row, row, rows
from gtmc_pipelines.storage.tenants import require_tenant

_COLUMNS = (
    "id, tenant_id, type, name, status, last_sync_at, last_sync_error, error_code, error_kind,"
    " schedule_cron, schedule_timezone, version, created_at, updated_at"
)
_WITH_OPTIONS = _COLUMNS + ", coalesce(config -> 'options', '{}') AS options"


@dataclass(frozen=True, slots=True)
class ConnectorRow:
    """A connector without its secrets. `options` is empty in lists over all tenants."""

    id: str
    tenant_id: str
    type: ConnectorType
    name: str
    status: ConnectorStatus
    last_sync_at: datetime | None  # of the last successful sync
    last_sync_error: str | None
    error_code: str | None
    error_kind: str | None
    schedule_cron: str | None
    schedule_timezone: str
    version: int
    created_at: datetime
    updated_at: datetime
    options: Mapping[str, Any] = field(default_factory=dict)


def add_connector(
    database: Database,
    tenant_id: str,
    type: ConnectorType | str,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    actor: str = "system",
) -> ConnectorRow:
    """Add a connector, not yet authenticated. A tenant has one of each type.

    `options` are plain settings (a base URL, an API version), never secrets. Raises Misuse
    `unknown_tenant`, `unknown_connector_type`, or `connector_exists` naming the first.
    """
    require_tenant(database, tenant_id)
    kind = connector_type(type)
    connector_id = new_connector_id()
    values = {
        "id": connector_id,
        "tenant_id": tenant_id,
        "type": kind.value,
        "name": name or kind.label,
        "config": Jsonb({"options": dict(options or {}), "secrets": {}}),
    }
    with database.tenant(tenant_id) as connection:
        added = row(
            connection,
            "INSERT INTO connectors (id, tenant_id, type, name, config)"  # noqa: S608 - constants only
            " VALUES (%(id)s, %(tenant_id)s, %(type)s, %(name)s, %(config)s)"
            " ON CONFLICT (tenant_id, type) DO NOTHING RETURNING " + _WITH_OPTIONS,
            values,
        )
        if added is not None:
            audit.record(
                connection,
                tenant_id,
                actor=actor,
                action="connector.create",
                resource="connector",
                resource_id=connector_id,
                changes={"after": {"type": kind.value, "name": values["name"], "options": dict(options or {})}},
            )
            return _connector(added)
    raise _second_of_a_type(database, tenant_id, kind)


def draft_connector(
    database: Database,
    tenant_id: str,
    kind: ConnectorType,
    name: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> ConnectorRow:
    """The row `add_connector` would add, not stored: to try keys before anything is.

    Raises Misuse as `add_connector` does.
    """
    require_tenant(database, tenant_id)
    if find_connector(database, tenant_id, kind) is not None:
        raise _second_of_a_type(database, tenant_id, kind)
    now = datetime.now(UTC)
    state: dict[str, Any] = dict.fromkeys(("last_sync_at", "last_sync_error", "error_code", "error_kind"))
    return ConnectorRow(
        id=new_connector_id(),
        tenant_id=tenant_id,
        type=kind,
        name=name or kind.label,
        status=ConnectorStatus.DISCONNECTED,
        **state,
        schedule_cron=None,
        schedule_timezone="UTC",
        version=1,
        created_at=now,
        updated_at=now,
        options=dict(options or {}),
    )


def get_connector(database: Database, tenant_id: str, connector_id: str) -> ConnectorRow | None:
    """The connector with this id, or None."""
    return _one(database, tenant_id, "id = %(value)s", connector_id)


def find_connector(database: Database, tenant_id: str, type: ConnectorType) -> ConnectorRow | None:
    """The tenant's connector of this type, or None."""
    return _one(database, tenant_id, "type = %(value)s", type.value)


def require_connector(database: Database, tenant_id: str, text: str) -> ConnectorRow:
    """The tenant's connector whose type or id is `text`.

    Raises Misuse `unknown_tenant`, or `unknown_connector` that names the nearest ones.
    """
    found = _one(database, tenant_id, "%(value)s IN (id, type)", text)
    if found is not None:
        return found
    require_tenant(database, tenant_id)
    present = [connector.type.value for connector in list_connectors(database, tenant_id)]
    near = get_close_matches(text, present, n=2)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise Misuse(
        "unknown_connector",
        f"Tenant {tenant_id} has no connector {text[:80]!r}.",
        next_step=f"{hint}It has: {', '.join(present) or 'none'}. Add one with `gtmc connectors add`.",
    )


def list_connectors(database: Database, tenant_id: str | None = None) -> list[ConnectorRow]:
    """Connectors of a tenant, or of all tenants (then without options), by tenant and type."""
    if tenant_id is None:
        with database.fleet() as connection:
            found = rows(connection, f"SELECT {_COLUMNS} FROM connectors ORDER BY tenant_id, type")  # noqa: S608 - constants only
    else:
        with database.tenant(tenant_id) as connection:
            found = rows(
                connection,
                f"SELECT {_WITH_OPTIONS} FROM connectors WHERE tenant_id = %(tenant_id)s ORDER BY type",  # noqa: S608 - constants only
                {"tenant_id": tenant_id},
            )
    return [_connector(values) for values in found]


def connector_type(text: str) -> ConnectorType:
    """The type with this key. Raises Misuse `unknown_connector_type` that lists all five."""
    try:
        return ConnectorType(text)
    except ValueError:
        raise Misuse(
            "unknown_connector_type",
            f"{text[:80]!r} is no connector type.",
            next_step=f"Use one of: {', '.join(ConnectorType)}.",
        ) from None


def _one(database: Database, tenant_id: str, condition: str, value: str) -> ConnectorRow | None:
    with database.tenant(tenant_id) as connection:
        found = row(
            connection,
            f"SELECT {_WITH_OPTIONS} FROM connectors WHERE tenant_id = %(tenant_id)s AND {condition}",  # noqa: S608 - constants only
            {"tenant_id": tenant_id, "value": value},
        )
    return None if found is None else _connector(found)


def _connector(values: Row) -> ConnectorRow:
    return ConnectorRow(**values | {"type": ConnectorType(values["type"]), "status": ConnectorStatus(values["status"])})


def _second_of_a_type(database: Database, tenant_id: str, kind: ConnectorType) -> Misuse:
    first = find_connector(database, tenant_id, kind)
    named = f"{first.name!r} ({first.id})" if first else "one"
    return Misuse(
        "connector_exists",
        f"Tenant {tenant_id} has a {kind.label} connector already: {named}.",
        next_step="A tenant has one connector of each type; connect that one again instead.",
    )
