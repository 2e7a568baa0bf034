"""Transactions: committed or rolled back, in UTC, and lost connections told as what they are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database, begin_tenant
from gtmc_pipelines.storage.statements import driver, row, rows, run

pytestmark = pytest.mark.services

MARK = (
    "INSERT INTO sweep_marks (tenant_id, connector_id, stream, generation, external_id)"
    " VALUES (%(tenant)s, 'c', 's', 1, %(id)s)"
)


def _marks(database: Database, tenant: str) -> list[str]:
    with database.tenant(tenant) as connection:
        return [found["external_id"] for found in rows(connection, "SELECT external_id FROM sweep_marks")]


def test_a_transaction_commits_at_its_end_and_rolls_back_on_an_exception(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection:
        assert run(connection, MARK, {"tenant": tenant, "id": "kept"}) == 1

    def fail() -> None:
        with database.tenant(tenant) as connection:
            run(connection, MARK, {"tenant": tenant, "id": "lost"})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert _marks(database, tenant) == ["kept"]


def test_a_pooled_connection_does_not_carry_its_tenant_into_the_next_transaction(
    postgres_url: str, database: Database, tenant: str
) -> None:
    pool_of_one = Database(postgres_url, pool_size=1)
    with pool_of_one.tenant(tenant) as connection:
        session = driver(connection).info.backend_pid
    with pool_of_one.operator() as connection:
        assert driver(connection).info.backend_pid == session
        assert row(connection, "SELECT current_setting('gtmc.tenant_id', true) AS tenant") == {"tenant": ""}
    pool_of_one.close()


def test_both_kinds_of_connection_speak_utc_and_iso(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as pooled, database.raw_connection() as raw:
        for connection in (pooled, raw):
            found = row(connection, "SELECT now() AS at, now()::text AS text, current_setting('TimeZone') AS zone")
            assert found is not None
            assert found["zone"] == "UTC"
            assert found["text"].endswith("+00")
            assert abs(found["at"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_statements_run_in_the_transaction_of_the_pooled_connection(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection:
        run(connection, MARK, {"tenant": tenant, "id": "seen by both"})
        assert connection.exec_driver_sql("SELECT external_id FROM sweep_marks").scalars().all() == ["seen by both"]
        assert driver(connection).info.transaction_status.name == "INTRANS"


def test_a_raw_connection_needs_its_tenant_in_each_transaction(database: Database, connector: ConnectorRow) -> None:
    with database.raw_connection() as connection:
        for expected in (1, 0, 1):
            if expected:
                begin_tenant(connection, connector.tenant_id)
            assert connection.execute("SELECT count(*) FROM connectors").fetchone() == (expected,)
            connection.rollback()


def test_a_lent_write_connection_brings_nothing_of_its_last_borrower(postgres_url: str, tenant: str) -> None:
    pool_of_one = Database(postgres_url, pool_size=1)
    sessions = []
    for _ in range(2):
        lent = pool_of_one.write_connection()
        connection = lent.driver_connection
        assert isinstance(connection, psycopg.Connection)
        sessions.append(connection.info.backend_pid)
        assert connection.execute("SELECT current_setting('gtmc.tenant_id', true)").fetchone() in {(None,), ("",)}
        assert connection.execute("SELECT to_regclass('pg_temp.gtmc_stage')").fetchone() == (None,)
        assert connection.execute("SELECT current_setting('plan_cache_mode')").fetchone() == ("force_custom_plan",)
        begin_tenant(connection, tenant)
        connection.execute("CREATE TEMPORARY TABLE gtmc_stage (x text)")
        connection.commit()
        begin_tenant(connection, tenant)  # and left open
        lent.close()
    assert len(set(sessions)) == 1
    pool_of_one.close()


LEFT_BEHIND = {
    "a setting": "SET statement_timeout = 60000",
    "a tenant": "SELECT set_config('gtmc.tenant_id', 'other', false)",
    "a search path": "SET search_path = pg_temp, public",
    "a role": "SET ROLE gtmc_fleet",
    "a login": "SET SESSION AUTHORIZATION gtmc_eraser",
    "a role of a login": "SET SESSION AUTHORIZATION gtmc_eraser; SET ROLE gtmc_eraser",
    "a mode": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "a time zone": "SET TIME ZONE 'Asia/Tokyo'",
    "row security switched off": "SET row_security = off",
    "a temporary table": "CREATE TEMP TABLE people (x text)",
    "a temporary function": "CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE sql AS $$SELECT 'x'$$",
    "ears": "LISTEN gossip",
    "a lock": "SELECT pg_advisory_lock(4711)",
    "a prepared statement": "PREPARE mine AS SELECT 1",
    "the driver's statement": "PREPARE _pg3_0 AS SELECT 'forged'",
    "a cursor": "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
}
SESSION = """
SELECT current_user, session_user,
       (SELECT array_agg(s.name || '=' || s.setting ORDER BY s.name) FROM pg_settings s WHERE name <> 'role'),
       coalesce(current_setting('gtmc.tenant_id', true), ''),
       (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
       (SELECT count(*) FROM pg_cursors WHERE is_holdable),
       (SELECT count(*) FROM pg_listening_channels()),
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
       (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
       (SELECT count(*) FROM pg_proc WHERE pronamespace = pg_my_temp_schema())
"""


@pytest.fixture
def pool_of_one(postgres_url: str, database: Database) -> Iterator[Database]:
    opened = Database(postgres_url, pool_size=1)
    yield opened
    opened.close()


@pytest.mark.parametrize("ends_well", [True, False])
@pytest.mark.parametrize("pool", ["reading", "writing"])
def test_nothing_that_a_borrower_leaves_in_its_session_reaches_the_next(
    pool: str, ends_well: bool, pool_of_one: Database
) -> None:
    clean, session = _borrowed(pool_of_one, pool, "SELECT 1", ends_well=True)
    for name, statement in LEFT_BEHIND.items():
        _borrowed(pool_of_one, pool, statement, ends_well=ends_well)
        found = _borrowed(pool_of_one, pool, "SELECT 1", ends_well=True)
        assert found == (clean, session), name


def _borrowed(database: Database, pool: str, statement: str, *, ends_well: bool) -> tuple[list[Any], int]:
    """What the session is like before a statement is run in it, and whose it is."""
    lent = database.write_connection() if pool == "writing" else database._engine.raw_connection()
    connection = lent.driver_connection
    assert isinstance(connection, psycopg.Connection)
    before = list(connection.execute(SESSION).fetchone() or ())
    connection.execute(statement)
    if ends_well:
        connection.commit()
    lent.close()
    return before, connection.info.backend_pid


def test_a_session_that_died_in_the_pool_is_replaced(
    pool_of_one: Database, tenant: str, superuser: psycopg.Connection[Any]
) -> None:
    with pool_of_one.tenant(tenant) as connection:
        session = driver(connection).info.backend_pid
    superuser.execute("SELECT pg_terminate_backend(%s, 5000)", (session,))
    with pool_of_one.tenant(tenant) as connection:
        assert driver(connection).info.backend_pid != session


def test_a_lost_connection_is_a_retry_that_shows_no_statement(
    database: Database, tenant: str, superuser: psycopg.Connection[Any]
) -> None:
    def lose() -> None:
        with database.tenant(tenant) as connection:
            superuser.execute("SELECT pg_terminate_backend(%s)", (driver(connection).info.backend_pid,))
            run(connection, MARK, {"tenant": tenant, "id": "jane@example.com"})

    with pytest.raises(Retry) as raised:
        lose()
    assert raised.value.code == "database_unavailable"
    assert "jane" not in repr(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert _marks(database, tenant) == []
