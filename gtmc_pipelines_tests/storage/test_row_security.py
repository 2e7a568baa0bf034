"""Who sees what: tenants, the fleet, the operator, and what the app role may not do."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from sqlalchemy import LargeBinary
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.types import TypeEngine

from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.data_tables import CANONICAL, RAW
from gtmc_pipelines.storage.engine import Database, begin_tenant
from gtmc_pipelines.storage.tables import METADATA
from gtmc_pipelines.storage.tenants import add_tenant

pytestmark = pytest.mark.services

TENANT_TABLES = sorted(f"{t.schema or 'public'}.{t.name}" for t in METADATA.tables.values() if "tenant_id" in t.c)


def test_every_table_with_a_tenant_has_a_forced_policy_for_reading_and_writing(
    superuser: psycopg.Connection[Any],
) -> None:
    found = superuser.execute(
        """
        SELECT n.nspname || '.' || c.relname, c.relrowsecurity AND c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
                          AND p.policyname = 'own_tenant' AND p.cmd = 'ALL' AND p.roles = '{public}'
                          AND p.qual LIKE '%gtmc.tenant_id%' AND p.with_check LIKE '%gtmc.tenant_id%')
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
           AND EXISTS (SELECT FROM pg_attribute a
                        WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
        """
    ).fetchall()
    assert sorted(name for name, _, _ in found) == TENANT_TABLES
    assert [name for name, is_forced, has_policy in found if not (is_forced and has_policy)] == []


def test_the_roles_own_nothing_and_cannot_log_in_or_bypass_policies(superuser: psycopg.Connection[Any]) -> None:
    roles = superuser.execute(
        "SELECT rolname, rolcanlogin OR rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb"
        " FROM pg_roles WHERE rolname LIKE 'gtmc%' ORDER BY 1"
    ).fetchall()
    assert roles == [("gtmc_app", False), ("gtmc_eraser", False), ("gtmc_fleet", False), ("gtmc_operator", False)]
    owned = superuser.execute("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) LIKE 'gtmc%'").fetchone()
    assert owned == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.mine (id text)",
        "ALTER TABLE connectors DISABLE ROW LEVEL SECURITY",
        "DROP TABLE people",
        "TRUNCATE people",
        "CREATE SCHEMA mine",
        "UPDATE audit_log SET action = 'nothing'",
        "DELETE FROM audit_log",
        "DELETE FROM sync_logs",
        "DELETE FROM connectors",
        "INSERT INTO tenants (id, name, slug) VALUES ('x', 'x', 'x')",
        "CREATE ROLE other",
    ],
)
def test_the_app_role_may_not(statement: str, database: Database, tenant: str) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        database.tenant(tenant) as connection,
    ):
        connection.exec_driver_sql(statement)


def test_the_app_role_may_use_temporary_tables(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE stage (id text) ON COMMIT DROP")


def test_a_tenant_sees_its_own_connector_and_nobody_elses(database: Database, connector: ConnectorRow) -> None:
    other = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, other)
    mine = add_connector(database, other, "salesforce")
    with database.tenant(other) as connection:
        seen = connection.exec_driver_sql("SELECT id FROM connectors").scalars().all()
        tenants = connection.exec_driver_sql("SELECT id FROM tenants").scalars().all()
    assert (seen, tenants) == ([mine.id], [other])


def test_without_a_tenant_nothing_is_seen_and_nothing_can_be_written(
    database: Database, connector: ConnectorRow
) -> None:
    with database.raw_connection() as connection:
        begin_tenant(connection, connector.tenant_id)
        assert connection.execute("SELECT count(*) FROM connectors").fetchone() == (1,)
        connection.commit()
        # The same session after a transaction that had a tenant: the setting is '' now, not null.
        assert connection.execute("SELECT count(*) FROM connectors").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(
                "INSERT INTO sweep_marks (tenant_id, connector_id, stream, generation, external_id)"
                " VALUES ('', 'c', 's', 1, 'x')"
            )
        connection.rollback()


@pytest.mark.parametrize("table", [table.fullname for table in (*CANONICAL.values(), *RAW.values())])
def test_a_tenant_cannot_see_update_or_delete_anothers_records(
    table: str, database: Database, tenant: str, superuser: psycopg.Connection[Any]
) -> None:
    columns = {
        column.name: _value(column.type)
        for column in METADATA.tables[table].columns
        if not column.nullable and column.server_default is None
    } | {"tenant_id": f"other-{uuid.uuid4().hex}"}
    names, marks = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"
    superuser.execute(insert, columns)
    with database.raw_connection() as connection:
        begin_tenant(connection, tenant)
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert connection.execute(f"UPDATE {table} SET tenant_id = %s", (tenant,)).rowcount == 0
        assert connection.execute(f"DELETE FROM {table}").rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(insert, columns | {"external_id": "another"})
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT config FROM connectors",
        "SELECT field_mappings FROM connectors",
        "SELECT * FROM connectors",
        "SELECT payload FROM dead_letters",
        "SELECT detail FROM dead_letters",
        "SELECT external_id FROM dead_letters",
        "SELECT dpa_accepted_by FROM o365_config",
        "SELECT id FROM audit_log",
        "SELECT cursor FROM stream_cursors",
        *(f"SELECT tenant_id FROM {table.fullname}" for table in (*CANONICAL.values(), *RAW.values())),
    ],
)
def test_the_fleet_cannot_read(statement: str, database: Database) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), database.fleet() as connection:
        connection.exec_driver_sql(statement)


def test_the_fleet_sees_operational_columns_of_all_tenants_and_writes_nothing(
    database: Database, connector: ConnectorRow
) -> None:
    with database.fleet() as connection:
        found = connection.exec_driver_sql(
            "SELECT status FROM connectors WHERE id = %(id)s", {"id": connector.id}
        ).scalar_one()
        is_read_only = connection.exec_driver_sql("SHOW transaction_read_only").scalar_one()
    assert (found, is_read_only) == ("disconnected", "on")


def test_a_role_taken_for_one_transaction_is_gone_in_the_next(database: Database, tenant: str) -> None:
    for _ in range(20):
        with database.fleet() as connection:
            assert connection.exec_driver_sql("SELECT current_user").scalar_one() == "gtmc_fleet"
        with database.tenant(tenant) as connection:
            assert connection.exec_driver_sql("SELECT current_user").scalar_one() == "gtmc_app"


def test_resetting_the_role_comes_back_to_the_app_role(database: Database) -> None:
    with database.raw_connection() as connection:
        connection.execute("RESET ROLE")
        assert connection.execute("SELECT current_user").fetchone() == ("gtmc_app",)


def test_the_policy_is_evaluated_once_a_statement(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection:
        plan = connection.exec_driver_sql("EXPLAIN SELECT * FROM people WHERE email = 'x'").scalars().all()
    assert any("InitPlan" in line for line in plan), plan


def _value(kind: TypeEngine[Any]) -> Any:
    if isinstance(kind, JSONB):
        return "{}"
    if isinstance(kind, TIMESTAMP):
        return "2026-01-01T00:00:00Z"
    return b"hash" if isinstance(kind, LargeBinary) else uuid.uuid4().hex
