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

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Broken, Misuse, Reauthorize
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing, SealContext
from gtmc_pipelines.vault.secret import Secret

pytestmark = pytest.mark.services

LOSE_THE_LOCK = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
FIRST = {"access_token": Secret("access-1"), "refresh_token": Secret("refresh-1"), "instance_url": Secret("https://x")}


class Refusing:
    """An exchange that a vendor refuses for good; counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, _: Mapping[str, Secret]) -> Mapping[str, Secret]:
        self.calls += 1
        raise Reauthorize("revoked", "The grant was revoked.", next_step="Reconnect.")


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


def test_an_exchange_that_fails_for_now_changes_nothing_and_the_next_may_try(credentials: StoredCredentials) -> None:
    def fail(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        raise Broken("bad_token_answer", "The token answer is not what its contract says.")

    with pytest.raises(Broken):
        credentials.renew(Secret("access-1"), fail)
    assert credentials.read() == FIRST
    renewed = credentials.renew(Secret("access-1"), lambda _: {"access_token": Secret("access-2")})
    assert renewed["access_token"] == Secret("access-2")


def test_fifty_callers_with_a_dead_grant_ask_once_and_the_connector_is_on_error(
    database: Database, keyring: KeyRing, credentials: StoredCredentials, connector: ConnectorRow
) -> None:
    with database.tenant(connector.tenant_id) as handle:
        set_status(handle, connector.tenant_id, connector.id, ConnectorStatus.CONNECTED)
    refusing, start = Refusing(), threading.Barrier(50)

    def renew(_: int) -> str:
        mine = StoredCredentials(database, keyring, connector.tenant_id, connector.id, actor="cli:someone")
        start.wait()
        with pytest.raises(Reauthorize) as refused:
            mine.renew(Secret("access-1"), refusing)
        return f"{refused.value.code}: {refused.value}"

    with ThreadPoolExecutor(50) as pool:
        told = set(pool.map(renew, range(50)))
    assert told == {"revoked: The grant was revoked. Reconnect."}
    assert refusing.calls == 1
    assert credentials.read() == FIRST
    now = require_connector(database, connector.tenant_id, connector.id)
    assert (now.status, now.error_code, now.error_kind) == (ConnectorStatus.ERROR, "revoked", "reauthorize")
    assert now.last_sync_error == "The grant was revoked. Reconnect."
    with database.tenant(connector.tenant_id) as handle:
        (noted,) = list_entries(handle, connector.tenant_id, 1)
    assert (noted.action, noted.actor) == ("connector.token_refused", "cli:someone")
    assert noted.changes == {"before": {"status": "connected"}, "after": {"status": "error", "error_code": "revoked"}}


def test_a_running_sync_keeps_its_status_when_the_grant_turns_out_dead(
    database: Database, credentials: StoredCredentials, connector: ConnectorRow
) -> None:
    with database.tenant(connector.tenant_id) as handle:
        set_status(handle, connector.tenant_id, connector.id, ConnectorStatus.SYNCING)
    with pytest.raises(Reauthorize):
        credentials.renew(Secret("access-1"), Refusing())
    assert require_connector(database, connector.tenant_id, connector.id).status is ConnectorStatus.SYNCING


def test_a_new_grant_is_asked_for_at_once_after_a_dead_one(credentials: StoredCredentials) -> None:
    with pytest.raises(Reauthorize):
        credentials.renew(Secret("access-1"), Refusing())
    credentials.save({**FIRST, "refresh_token": Secret("refresh-of-a-new-login")})
    renewed = credentials.renew(Secret("access-1"), lambda _: {"access_token": Secret("access-2")})
    assert renewed["access_token"] == Secret("access-2")


def test_a_grant_that_was_refused_a_while_ago_is_tried_again(
    credentials: StoredCredentials, connector: ConnectorRow, superuser: psycopg.Connection[Any]
) -> None:
    with pytest.raises(Reauthorize):
        credentials.renew(Secret("access-1"), Refusing())
    superuser.execute(
        "UPDATE connectors SET config = jsonb_set(config, '{refused,at}', to_jsonb(now() - interval '31 s'))"
        " WHERE id = %s",
        (connector.id,),
    )
    renewed = credentials.renew(Secret("access-1"), lambda _: {"access_token": Secret("access-2")})
    assert renewed["access_token"] == Secret("access-2")


def test_a_token_somebody_else_renewed_while_our_connection_was_lost_is_not_overwritten(
    database: Database,
    keyring: KeyRing,
    credentials: StoredCredentials,
    connector: ConnectorRow,
    superuser: psycopg.Connection[Any],
) -> None:
    """The other is faster to the lock than we are to come back."""

    def exchange(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        superuser.execute(LOSE_THE_LOCK)
        place = SealContext(connector.tenant_id, connector.id, "access_token")
        superuser.execute(
            "UPDATE connectors SET config = jsonb_set(config, '{secrets,access_token}', to_jsonb(%s::text))"
            " WHERE id = %s",
            (keyring.seal("access-of-the-other", place), connector.id),
        )
        return {"access_token": Secret("access-2")}

    renewed = credentials.renew(Secret("access-1"), exchange)
    assert renewed["access_token"] == Secret("access-of-the-other")
    assert credentials.read() == renewed


def test_a_connection_lost_during_the_exchange_does_not_lose_the_new_token(
    credentials: StoredCredentials, superuser: psycopg.Connection[Any]
) -> None:
    def exchange(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        superuser.execute(LOSE_THE_LOCK)
        return {"access_token": Secret("access-2"), "refresh_token": Secret("refresh-2")}

    renewed = credentials.renew(Secret("access-1"), exchange)
    assert credentials.read() == renewed
    assert renewed["refresh_token"] == Secret("refresh-2")


def test_no_text_of_it_shows_a_secret(credentials: StoredCredentials) -> None:
    assert "access-1" not in f"{credentials!r} {credentials.read()!r}"
