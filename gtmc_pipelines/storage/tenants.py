"""Tenants: adding, listing, and refusing an unknown one with the nearest names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from psycopg.sql import SQL, Identifier

from gtmc_pipelines.model import ids
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import APP_ROLE, TENANT_SETTING, Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant: the root of isolation."""

    id: str
    name: str
    created_at: datetime


def add_tenant(database: Database, tenant_id: str, name: str | None = None, *, actor: str = "system") -> Tenant:
    """Add a tenant. Raises Misuse `bad_tenant_id`, or `tenant_exists` when the id is taken."""
    parameters = {"id": ids.tenant_id(tenant_id), "name": name or tenant_id}
    with database.operator() as connection:
        added = row(
            connection,
            "INSERT INTO tenants (id, name, slug) VALUES (%(id)s, %(name)s, %(id)s) ON CONFLICT DO NOTHING"
            " RETURNING id, name, created_at",
            parameters,
        )
        if added is not None:
            _audit_added(connection, Tenant(**added), actor)
    if added is None:
        raise Misuse(
            "tenant_exists",
            f"Tenant {tenant_id!r} exists already.",
            next_step="List them with `gtmc tenants list`, or choose another id.",
        )
    return Tenant(**added)


def list_tenants(database: Database) -> list[Tenant]:
    """All tenants by id."""
    with database.fleet() as connection:
        return [Tenant(**found) for found in rows(connection, "SELECT id, name, created_at FROM tenants ORDER BY id")]


def require_tenant(database: Database, tenant_id: str) -> Tenant:
    """The tenant with this id. Raises Misuse `unknown_tenant` that names the nearest ids."""
    tenants = {tenant.id: tenant for tenant in list_tenants(database)}
    if tenant_id in tenants:
        return tenants[tenant_id]
    near = get_close_matches(tenant_id, tenants, n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise Misuse(
        "unknown_tenant",
        f"There is no tenant {tenant_id[:80]!r}.",
        next_step=f"{hint}See `gtmc tenants list`; add one with `gtmc tenants add <id>`.",
    )


def _audit_added(handle: Handle, tenant: Tenant, actor: str) -> None:
    """The operator may not write the log, so the transaction goes on as the application, for this tenant."""
    run(handle, SQL("SET LOCAL ROLE {}").format(Identifier(APP_ROLE)))
    rows(handle, "SELECT set_config(%(name)s, %(tenant)s, true)", {"name": TENANT_SETTING, "tenant": tenant.id})
    audit.record(
        handle,
        tenant.id,
        actor=actor,
        action="tenant.create",
        resource="tenant",
        resource_id=tenant.id,
        changes={"after": {"name": tenant.name}},
    )
