"""Credentials: sealed at rest, renewed once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from gtmc_pipelines.model.errors import Broken, Misuse, Reauthorize
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.vault.secret import Secret

pytestmark = pytest.mark.services

FIRST = {"access_token": Secret("access-1"), "refresh_token": Secret("refresh-1"), "instance_url": Secret("https://x")}


@pytest.fixture
def credentials(database: Database, keyring: KeyRing, connector: ConnectorRow) -> StoredCredentials:
    stored = StoredCredentials(database, keyring, connector.tenant_id, connector.id)
    stored.save(FIRST)
    return stored


def test_what_is_saved_is_read_and_what_is_cleared_is_gone(credentials: StoredCredentials) -> None:
    assert credentials.read() == FIRST
    credentials.clear()
    assert credentials.read() == {}


def test_nothing_readable_is_stored(
    credentials: StoredCredentials, connector: ConnectorRow, superuser: psycopg.Connection[Any]
) -> None:
    found = superuser.execute("SELECT config FROM connectors WHERE id = %s", (connector.id,)).fetchone()
    assert found is not None
    assert sorted(found[0]["secrets"]) == sorted(FIRST)
    assert not [value for value in FIRST.values() if value.reveal() in json.dumps(found[0])]


def test_a_sealed_secret_copied_to_another_connector_does_not_open(
    database: Database,
    keyring: KeyRing,
    credentials: StoredCredentials,
    connector: ConnectorRow,
    superuser: psycopg.Connection[Any],
) -> None:
    other = add_connector(database, connector.tenant_id, "fathom")
    superuser.execute(
        "UPDATE connectors SET config = (SELECT config FROM connectors WHERE id = %s) WHERE id = %s",
        (connector.id, other.id),
    )
    with pytest.raises(Broken):
        StoredCredentials(database, keyring, other.tenant_id, other.id).read()


def test_another_key_does_not_open_them(
    database: Database, credentials: StoredCredentials, connector: ConnectorRow
) -> None:
    stranger = StoredCredentials(database, KeyRing(os.urandom(32)), connector.tenant_id, connector.id)
    with pytest.raises(Broken):
        stranger.read()


def test_another_tenant_does_not_reach_them(database: Database, keyring: KeyRing, connector: ConnectorRow) -> None:
    with pytest.raises(Misuse) as raised:
        StoredCredentials(database, keyring, "somebody-else", connector.id).read()
    assert raised.value.code == "unknown_connector"


def test_fifty_callers_with_the_same_stale_token_exchange_it_once(
    database: Database, keyring: KeyRing, credentials: StoredCredentials, connector: ConnectorRow
) -> None:
    exchanged: list[str] = []
    start = threading.Barrier(50)

    def exchange(current: Mapping[str, Secret]) -> Mapping[str, Secret]:
        exchanged.append(current["refresh_token"].reveal())
        return {"access_token": Secret("access-2"), "refresh_token": Secret("refresh-2")}

    def renew(_: int) -> Mapping[str, Secret]:
        mine = StoredCredentials(database, keyring, connector.tenant_id, connector.id)
        start.wait()
        return mine.renew(Secret("access-1"), exchange)

    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(renew, range(50)))
    assert exchanged == ["refresh-1"]
    expected = FIRST | {"access_token": Secret("access-2"), "refresh_token": Secret("refresh-2")}
    assert all(result == expected for result in results)
    assert credentials.read() == expected


def test_callers_of_other_processes_wait_for_the_database_lock(
    database: Database, keyring: KeyRing, credentials: StoredCredentials, connector: ConnectorRow
) -> None:
    """The lock in the database alone, as another process sees it."""
    lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('gtmc.credentials:' || %s || ':' || %s, 0))"
    seen: list[Any] = []

    def exchange(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        with database.raw_connection() as connection:
            seen.append(connection.execute(lock, (connector.tenant_id, connector.id)).fetchone())
        return {"access_token": Secret("access-2")}

    credentials.renew(Secret("access-1"), exchange)
    assert seen == [(False,)]


def test_the_new_token_is_stored_before_the_caller_has_it(
    database: Database, keyring: KeyRing, credentials: StoredCredentials, connector: ConnectorRow
) -> None:
    renewed = credentials.renew(Secret("access-1"), lambda _: {"access_token": Secret("access-2")})
    assert StoredCredentials(database, keyring, connector.tenant_id, connector.id).read() == renewed


def test_a_failed_exchange_changes_nothing_and_the_next_may_try(credentials: StoredCredentials) -> None:
    def fail(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        raise Reauthorize("revoked", "The grant was revoked.", next_step="Reconnect.")

    with pytest.raises(Reauthorize):
        credentials.renew(Secret("access-1"), fail)
    assert credentials.read() == FIRST
    renewed = credentials.renew(Secret("access-1"), lambda _: {"access_token": Secret("access-2")})
    assert renewed["access_token"] == Secret("access-2")


def test_a_connection_lost_during_the_exchange_does_not_lose_the_new_token(
    credentials: StoredCredentials, superuser: psycopg.Connection[Any]
) -> None:
    def exchange(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return {"access_token": Secret("access-2"), "refresh_token": Secret("refresh-2")}

    renewed = credentials.renew(Secret("access-1"), exchange)
    assert credentials.read() == renewed
    assert renewed["refresh_token"] == Secret("refresh-2")


def test_no_text_of_it_shows_a_secret(credentials: StoredCredentials) -> None:
    assert "access-1" not in f"{credentials!r} {credentials.read()!r}"
