"""Transactions: committed or rolled back, in UTC, and lost connections told as what they are."""

from __future__ import annotations

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
