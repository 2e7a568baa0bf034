"""Removes everything of a tenant, in batches; what stays is one row of the audit log that says so.

Restartable: the connectors and the tenant itself are the last rows to go.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import sql
from sqlalchemy.exc import ProgrammingError

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit, leases
from gtmc_pipelines.storage.engine import ERASER_ROLE, Database
from gtmc_pipelines.storage.statements import rows, run

BATCH = 10_000

Progress = Callable[[str, int], None]
"""Told a table and how many rows of it are gone so far."""

# Asked of the catalog, not of our own list: a table that is added later is emptied too.
_TABLES = """
SELECT n.nspname AS schema, c.relname AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname IN ('public', 'raw')
   AND c.relname <> ALL (ARRAY['connectors', 'audit_log', 'audit_heads'])
   AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
 ORDER BY 1 DESC, 2
"""

_DELETE = """
DELETE FROM {table} WHERE tenant_id = %(tenant)s
   AND ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE tenant_id = %(tenant)s LIMIT %(batch)s))
"""


_LOGGED = "SELECT count(*) AS number FROM audit_log WHERE tenant_id = %(tenant)s"


def refuse_while_syncing(database: Database, tenant_id: str) -> None:
    """Raise Misuse `sync_running` when a sync of the tenant runs."""
    with database.tenant(tenant_id) as handle:
        leases.refuse_while_syncing(handle, tenant_id, "nothing was removed")


def remove_tenant(
    database: Database, tenant_id: str, *, actor: str, progress: Progress = lambda table, rows: None
) -> dict[str, int]:
    """Delete a tenant's rows from every table; how many, by table. Its connectors must be disconnected already.

    Raises Misuse `sync_running`, or `eraser_not_granted` when this login may not act as the eraser.
    """
    refuse_while_syncing(database, tenant_id)
    try:
        counts = _empty_tables(database, tenant_id, progress)
        with database.eraser(tenant_id) as handle:
            counts["audit_log"] = rows(handle, _LOGGED, {"tenant": tenant_id})[0]["number"]
            for name, column in (("connectors", "tenant_id"), ("tenants", "id")):
                statement = sql.SQL("DELETE FROM {} WHERE {} = %(tenant)s").format(
                    sql.Identifier(name), sql.Identifier(column)
                )
                counts[name] = run(handle, statement, {"tenant": tenant_id})
            counts = {name: number for name, number in counts.items() if number}
            audit.record(
                handle,
                tenant_id,
                actor=actor,
                action="tenant.remove",
                resource="tenant",
                resource_id=tenant_id,
                changes={"rows": counts},
            )
            audit.forget(handle, tenant_id)
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        raise Misuse(
            "eraser_not_granted",
            f"This PostgreSQL login may not act as {ERASER_ROLE}.",
            next_step=f"As the schema's owner: gtmc migrate; or GRANT {ERASER_ROLE} TO the login.",
        ) from None
    return counts


def _empty_tables(database: Database, tenant_id: str, progress: Progress) -> dict[str, int]:
    with database.eraser(tenant_id) as handle:
        tables = rows(handle, _TABLES)
    counts: dict[str, int] = {}
    for table in tables:
        name = table["name"] if table["schema"] == "public" else f"{table['schema']}.{table['name']}"
        statement = sql.SQL(_DELETE).format(table=sql.Identifier(table["schema"], table["name"]))
        deleted = BATCH
        while deleted == BATCH:
            with database.eraser(tenant_id) as handle:
                deleted = run(handle, statement, {"tenant": tenant_id, "batch": BATCH})
            counts[name] = counts.get(name, 0) + deleted
            if deleted:
                progress(name, counts[name])
    return counts
