"""The audit chain shows what was done to it."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import ProgrammingError

from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.tenant_removal import remove_tenant
from gtmc_pipelines.storage.tenants import add_tenant

pytestmark = pytest.mark.services


@pytest.fixture
def entries(database: Database, tenant: str) -> list[str]:
    """Ids of five rows."""
    with database.tenant(tenant) as connection:
        return [
            audit.record(
                connection,
                tenant,
                actor="anna",
                action="connector.update",
                resource="connector",
                resource_id=None if number == 2 else str(number),
                changes={"before": number, "after": {"z": 1.50, "a": None}, "text": 'ä "quoted" \\'},
            )
            for number in range(5)
        ]


def _verify(database: Database, tenant: str) -> audit.Chain:
    with database.tenant(tenant) as connection:
        return audit.verify_chain(connection, tenant)


def test_an_untouched_chain_is_sound(database: Database, tenant: str, entries: list[str]) -> None:
    chain = _verify(database, tenant)
    assert (chain.length, chain.is_sound, len(chain.head)) == (6, True, 64)  # the tenant's own row and five


def test_an_empty_chain_is_sound(database: Database) -> None:
    assert _verify(database, "nobody") == audit.Chain(0, 0, "")


@pytest.mark.parametrize(
    "assignment",
    [
        "changes = '{}'",
        "user_id = 'bert'",
        "action = 'connector.create'",
        "resource_id = '9'",
        "created_at = created_at + interval '1 microsecond'",
        "metadata = '{\"ip\": 1}'",
        "id = gen_random_uuid()::text",
        "hash = sha256('x')",
        "prev_hash = sha256('x')",
    ],
)
def test_an_altered_row_breaks_the_chain_there(
    assignment: str, database: Database, tenant: str, entries: list[str], superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute(f"UPDATE audit_log SET {assignment} WHERE id = %s", (entries[2],))
    assert not _verify(database, tenant).is_sound


@pytest.mark.parametrize(("gone", "broken_at"), [(0, 1), (2, 3)])
def test_a_removed_row_breaks_the_chain_at_the_next(
    gone: int,
    broken_at: int,
    database: Database,
    tenant: str,
    entries: list[str],
    superuser: psycopg.Connection[Any],
) -> None:
    superuser.execute("DELETE FROM audit_log WHERE id = %s", (entries[gone],))
    assert _verify(database, tenant).broken_at == entries[broken_at]


def test_newest_rows_that_are_missing_show_and_where(
    database: Database, tenant: str, entries: list[str], superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("DELETE FROM audit_log WHERE id = ANY (%s)", (entries[2:],))
    chain = _verify(database, tenant)
    assert (chain.is_sound, chain.broken_at, chain.cut_after) == (False, None, entries[1])
    assert (chain.length, chain.written, chain.missing) == (3, 6, 3)
    with database.tenant(tenant) as connection:
        audit.record(connection, tenant, actor="a", action="b", resource="c")
    assert not _verify(database, tenant).is_sound, "rows written afterwards don't hide it"


def test_a_log_that_is_gone_shows(
    database: Database, tenant: str, entries: list[str], superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("DELETE FROM audit_log WHERE tenant_id = %s", (tenant,))
    chain = _verify(database, tenant)
    assert (chain.is_sound, chain.cut_after, chain.length, chain.missing) == (False, "", 0, 6)
    assert tenant in audit.tenants_with_log(database)


def test_a_newest_row_put_in_the_place_of_another_shows(
    database: Database, tenant: str, entries: list[str], superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("DELETE FROM audit_log WHERE id = %s", (entries[4],))
    with superuser.transaction():
        superuser.execute("ALTER TABLE audit_log DISABLE TRIGGER audit_advance")
        superuser.execute("SELECT set_config('gtmc.tenant_id', %s, true)", (tenant,))
        superuser.execute("SET LOCAL ROLE gtmc_app")
        audit.record(superuser, tenant, actor="forger", action="b", resource="c")
        superuser.execute("RESET ROLE")
        superuser.execute("ALTER TABLE audit_log ENABLE TRIGGER audit_advance")
    chain = _verify(database, tenant)
    assert (chain.length, chain.written) == (6, 6)
    assert chain.broken_at not in (None, *entries)


@pytest.mark.parametrize("role", ["gtmc_app", "gtmc_eraser"])
def test_a_forged_hash_time_or_place_is_not_stored(
    role: str, database: Database, tenant: str, entries: list[str]
) -> None:
    before = _verify(database, tenant)
    with database.tenant(tenant) as connection:
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        connection.exec_driver_sql(
            "INSERT INTO audit_log (position, id, tenant_id, user_id, action, resource, created_at, prev_hash, hash)"
            " OVERRIDING SYSTEM VALUE"
            " VALUES (1, %(id)s, %(tenant)s, 'x', 'y', 'z', '2001-01-01', sha256('a'), sha256('b'))",
            {"id": str(uuid.uuid4()), "tenant": tenant},
        )
    chain = _verify(database, tenant)
    assert (chain.is_sound, chain.length) == (True, before.length + 1)
    with database.tenant(tenant) as connection:
        (newest,) = rows(
            connection,
            "SELECT encode(prev_hash, 'hex') AS before, encode(hash, 'hex') AS hash,"
            " now() - created_at < '1 minute' AS new"
            " FROM audit_log ORDER BY position DESC LIMIT 1",
        )
    assert newest == {"before": before.head, "hash": chain.head, "new": True}


def test_rows_appended_at_once_without_any_care_make_one_chain(database: Database, tenant: str) -> None:
    def write(number: int) -> None:
        with database.tenant(tenant) as connection:
            connection.exec_driver_sql(
                "INSERT INTO audit_log (id, tenant_id, user_id, action, resource)"
                " VALUES (%(id)s, %(tenant)s, 'a', 'b', 'c')",
                {"id": f"{tenant}-{number}", "tenant": tenant},
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))
    chain = _verify(database, tenant)
    assert (chain.is_sound, chain.length) == (True, 25)


def test_only_the_eraser_may_ask_to_forget_a_log(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        audit.forget(connection, tenant)


@pytest.mark.parametrize("role", ["gtmc_app", "gtmc_eraser", "gtmc_fleet", "gtmc_operator"])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_log",
        "UPDATE audit_log SET user_id = 'bert'",
        "TRUNCATE audit_log",
        "DELETE FROM audit_heads",
        "UPDATE audit_heads SET length = 1",
        "INSERT INTO audit_heads (tenant_id, length, head, written_at) VALUES ('x', 1, '', now())",
        "ALTER TABLE audit_log DISABLE TRIGGER audit_advance",
        "CREATE TEMP TABLE mine (tenant_id text, hash bytea, created_at timestamptz);"
        " CREATE TRIGGER forge AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION audit_advance()",
    ],
)
def test_no_role_of_a_process_may_shorten_the_log_or_move_its_head(
    role: str, statement: str, database: Database, tenant: str
) -> None:
    with database.tenant(tenant) as connection:
        connection.exec_driver_sql(f"SET LOCAL ROLE {role}")
        with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("action", ["tenant.remove", "anything"])
def test_the_eraser_forgets_no_log_of_a_tenant_there_is(action: str, database: Database, tenant: str) -> None:
    with database.eraser(tenant) as connection:
        audit.record(connection, tenant, actor="a", action=action, resource="tenant")
        with pytest.raises(psycopg.errors.RaiseException, match="goes with the tenant"):
            audit.forget(connection, tenant)
        connection.rollback()
    assert _verify(database, tenant).length == 1


def test_the_eraser_forgets_no_log_without_a_row_that_says_so(database: Database, tenant: str) -> None:
    with database.eraser(tenant) as connection:
        connection.exec_driver_sql("DELETE FROM tenants")
        with pytest.raises(psycopg.errors.RaiseException, match="goes with the tenant"):
            audit.forget(connection, tenant)
        connection.rollback()


def test_what_a_removed_tenant_leaves_is_chained_to_what_went(
    database: Database, tenant: str, entries: list[str]
) -> None:
    before = _verify(database, tenant)
    counts = remove_tenant(database, tenant, actor="cli:anna")
    after = _verify(database, tenant)
    assert counts["audit_log"] == 6
    assert (after.is_sound, after.length, after.written) == (True, 1, 1)
    with database.tenant(tenant) as connection:
        (kept,) = rows(connection, "SELECT action, encode(prev_hash, 'hex') AS before FROM audit_log")
    assert kept == {"action": "tenant.remove", "before": before.head}
    add_tenant(database, tenant)
    assert (_verify(database, tenant).is_sound, _verify(database, tenant).length) == (True, 2)


def test_a_row_rewritten_with_a_fresh_hash_still_breaks_the_next(
    database: Database, tenant: str, entries: list[str], superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute(
        "UPDATE audit_log SET user_id = 'bert', hash = sha256(prev_hash || 'forged') WHERE id = %s", (entries[1],)
    )
    assert _verify(database, tenant).broken_at == entries[1]


def test_many_writers_at_once_still_make_one_chain(database: Database, tenant: str) -> None:
    def write(number: int) -> None:
        with database.tenant(tenant) as connection:
            audit.record(connection, tenant, actor="a", action="b", resource="c", resource_id=str(number))

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(60)))
    chain = _verify(database, tenant)
    assert (chain.length, chain.broken_at) == (61, None)


def test_what_is_rolled_back_is_not_in_the_log(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection:
        audit.record(connection, tenant, actor="a", action="b", resource="c")
        connection.rollback()
    assert _verify(database, tenant).length == 1  # that the tenant was added
