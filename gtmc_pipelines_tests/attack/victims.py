"""Two tenants with rows in every tenant table the catalog knows: one attacks, the other's rows carry marks.

A mark stands in every text, document and byte string of the victim. `secret_mark` is in columns that no role of ours
may read across tenants, `plain_mark` in those that the fleet or the operator may see of all.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

ROWS_EACH = 2

_COLUMNS = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, a.attname AS column, format_type(a.atttypid, NULL) AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS is_required, a.attidentity <> '' AS is_made,
       EXISTS (SELECT FROM unnest(ARRAY['gtmc_fleet', 'gtmc_operator']) r
                WHERE has_column_privilege(r, c.oid, a.attnum, 'SELECT')) AS is_plain,
       (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
         WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]) AS terms
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND (c.oid = 'public.tenants'::regclass OR EXISTS (
        SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped))
 ORDER BY c.oid, a.attnum
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalog has it; `allowed` are the only values a check lets pass, if there is one."""

    name: str
    type: str
    is_required: bool
    is_made: bool
    is_plain: bool
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose rows belong to tenants."""

    name: str
    columns: tuple[Column, ...]

    @property
    def tenant_column(self) -> str:
        """The column that says whose a row is."""
        return "id" if self.name == "public.tenants" else "tenant_id"


@dataclass(frozen=True, slots=True)
class Tenants:
    """The attacker's and the victim's ids, and the victim's marks."""

    mine: str
    theirs: str
    secret_mark: str
    plain_mark: str

    @classmethod
    def fresh(cls) -> Tenants:
        """Two that nobody else has."""
        own = uuid.uuid4().hex[:10]
        return cls(f"attacker-{own}", f"victim-{own}", f"stolen{own}secret", f"stolen{own}plain")


def tables_of(owner: psycopg.Connection[Any]) -> list[Table]:
    """Every tenant table, from the catalog: one added later is attacked without a line here."""
    found: dict[str, list[Column]] = {}
    for name, column, kind, is_required, is_made, is_plain, terms in owner.execute(_COLUMNS).fetchall():
        allowed = tuple(re.findall(r"'([^']*)'::text", terms or ""))
        found.setdefault(name, []).append(Column(column, kind, is_required, is_made, is_plain, allowed))
    return [Table(name, tuple(columns)) for name, columns in found.items()]


def value_of(table: Table, column: Column, tenant: str, mark: str) -> Any:
    """A value for the column in a row of this tenant, with the mark wherever it fits."""
    if column.name == table.tenant_column:
        return tenant
    if column.allowed:
        return column.allowed[0]
    values = {
        "jsonb": f'{{"mark": "{mark}"}}',
        "bytea": f"{mark} {uuid.uuid4().hex}".encode(),
        "text[]": [mark],
        "boolean": True,
        "date": "2026-01-01",
        "timestamp with time zone": "2026-01-01T00:00:00Z",
    }
    if column.type.startswith(("text", "character")) and column.type != "text[]":
        return f"{mark} {uuid.uuid4().hex}" if column.type == "text" else mark[:32]
    return values.get(column.type, 7)


def plant(owner: psycopg.Connection[Any], tables: list[Table], tenants: Tenants) -> None:
    """Rows for both, past foreign keys and triggers."""
    with owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            for tenant in (tenants.mine, tenants.theirs):
                for _ in range(1 if table.name == "public.tenants" else ROWS_EACH):
                    _insert(owner, table, tenant, tenants)


def _insert(owner: psycopg.Connection[Any], table: Table, tenant: str, tenants: Tenants) -> None:
    values = {}
    for column in table.columns:
        mark = tenants.plain_mark if column.is_plain else tenants.secret_mark
        if not column.is_made:
            values[column.name] = value_of(table, column, tenant, "own" if tenant == tenants.mine else mark)
    owner.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            sql.SQL(table.name),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Placeholder, values)),
        ),
        values,
    )


def uproot(owner: psycopg.Connection[Any], tables: list[Table], tenants: Tenants) -> None:
    """Take both tenants out again."""
    with owner.transaction():
        owner.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            owner.execute(
                sql.SQL("DELETE FROM {} WHERE {} = ANY(%s)").format(
                    sql.SQL(table.name), sql.Identifier(table.tenant_column)
                ),
                ([tenants.mine, tenants.theirs],),
            )


def fingerprint(connection: psycopg.Connection[Any], table: Table, tenant: str) -> str:
    """A hash of all rows of a tenant in a table, as this connection sees them."""
    query = sql.SQL(
        "SELECT count(*) || md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {} t WHERE {} = %s"
    )
    found = connection.execute(
        query.format(sql.SQL(table.name), sql.Identifier(table.tenant_column)), (tenant,)
    ).fetchone()
    assert found is not None
    return str(found[0])
