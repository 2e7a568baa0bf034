"""Changes of a connection while something is under way: what has ended doesn't come back, what was given stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.storage import connector_states, cursors, leases
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import NOT_ACCEPTED, accept_dpa, get_config
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.storage.write_scene import Scene, batch_of, record

pytestmark = pytest.mark.services

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def _disconnect(database: Database, tenant: str, connector_id: str) -> None:
    connector_states.disconnect(database, tenant, connector_id, actor="anna")


def _connect_to_another(database: Database, tenant: str, connector_id: str) -> None:
    with database.tenant(tenant) as handle:
        organization = {"organization_id": "another"}
        connector_states.connect(handle, tenant, connector_id, organization, starts_over=True, actor="anna", after={})


@pytest.mark.parametrize(
    ("change", "status"),
    [(_disconnect, ConnectorStatus.DISCONNECTED), (_connect_to_another, ConnectorStatus.CONNECTED)],
    ids=["disconnected", "another account"],
)
def test_a_running_sync_writes_neither_rows_nor_cursors_any_more(
    database: Database, tenant: str, change: Callable[[Database, str, str], None], status: ConnectorStatus
) -> None:
    scene = Scene(database, tenant)
    connector_id = scene.target.connector_id
    with database.tenant(tenant) as handle:
        connector_states.set_status(handle, tenant, connector_id, ConnectorStatus.SYNCING)
    with scene.writer() as writer:
        writer.write(batch_of(record("a", 1, first_name="Ana"), checkpoint="one"))
        change(database, tenant, connector_id)
        with pytest.raises(Broken) as lost:
            writer.write(batch_of(record("b", 2, first_name="Ben"), checkpoint=None, watermark="2026-01-01"))
    assert lost.value.code == "lease_lost"
    assert scene.people() == {"a": "Ana"}
    with database.tenant(tenant) as handle:
        assert cursors.list_states(handle, tenant, connector_id) == []
        assert leases.holder(handle, tenant, connector_id) is None
    assert require_connector(database, tenant, connector_id).status is status


def test_a_lease_that_is_being_taken_for_the_first_time_is_waited_for_and_taken_away(
    database: Database, connector: ConnectorRow, superuser: psycopg.Connection[Any]
) -> None:
    tenant, connector_id = connector.tenant_id, connector.id
    with ThreadPoolExecutor(1) as pool:
        with database.tenant(tenant) as handle:
            token = leases.take(handle, tenant, connector_id, "run-1", "workflow-1")
            disconnecting = pool.submit(_disconnect, database, tenant, connector_id)
            _until_somebody_waits(superuser)
        disconnecting.result(20)
    assert isinstance(token, int)
    with database.tenant(tenant) as handle, pytest.raises(Broken):
        leases.assert_fence(handle, tenant, connector_id, token)


def test_a_renewal_under_way_puts_no_secrets_back(
    database: Database, connector: ConnectorRow, keyring: KeyRing, superuser: psycopg.Connection[Any]
) -> None:
    stored = StoredCredentials(database, keyring, connector.tenant_id, connector.id)
    stored.save({"access_token": Secret("old"), "refresh_token": Secret("first")})
    asked, may_answer = threading.Event(), threading.Event()

    def exchange(_: Mapping[str, Secret]) -> Mapping[str, Secret]:
        asked.set()
        assert may_answer.wait(20)
        return {"access_token": Secret("new"), "refresh_token": Secret("second")}

    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(stored.renew, Secret("old"), exchange)
        assert asked.wait(20)
        disconnecting = pool.submit(_disconnect, database, connector.tenant_id, connector.id)
        _until_somebody_waits(superuser, done=disconnecting.done)
        may_answer.set()
        renewing.result(20)
        disconnecting.result(20)
    assert stored.read() == {}
    assert require_connector(database, connector.tenant_id, connector.id).status is ConnectorStatus.DISCONNECTED


def test_an_agreement_that_is_accepted_as_a_sync_fails_for_want_of_it_stands(
    database: Database, tenant: str, superuser: psycopg.Connection[Any]
) -> None:
    connector_id = add_connector(database, tenant, "o365").id
    accepting = {"actor": "anna", "dpa_version": "1", "at": datetime.now(UTC)}
    with database.tenant(tenant) as handle:
        connector_states.set_status(handle, tenant, connector_id, ConnectorStatus.SYNCING)
    with ThreadPoolExecutor(1) as pool:
        with database.tenant(tenant) as handle:  # as the sync's last activity does it
            connector_states.standing(handle, tenant, connector_id)
            assert not get_config(handle, tenant).is_accepted
            accepted = pool.submit(accept_dpa, database, tenant, **accepting)
            _until_somebody_waits(superuser, done=accepted.done)
            error = {"error_code": NOT_ACCEPTED, "error_kind": "reauthorize", "error": "Accept it."}
            connector_states.set_status(handle, tenant, connector_id, ConnectorStatus.ERROR, **error)
        accepted.result(20)
    assert require_connector(database, tenant, connector_id).status is ConnectorStatus.CONNECTED


def _until_somebody_waits(superuser: psycopg.Connection[Any], done: Callable[[], bool] = lambda: False) -> None:
    """Until a lock is waited for, or what should wait for it is done."""
    for _ in range(20_000):
        found = superuser.execute(WAITING).fetchone()
        if done() or (found is not None and found[0]):
            return
    raise AssertionError("nobody waits")
