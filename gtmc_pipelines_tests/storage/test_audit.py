"""The audit chain shows what was done to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database

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
    assert _verify(database, "nobody") == audit.Chain(0, "", None)


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
