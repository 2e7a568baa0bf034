"""Tenants and connector rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit, cursors
from gtmc_pipelines.storage.connector_states import disconnect, set_options, set_schedule, set_status
from gtmc_pipelines.storage.connectors import (
    ConnectorRow,
    add_connector,
    find_connector,
    get_connector,
    list_connectors,
    require_connector,
)
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import add_tenant, list_tenants, require_tenant
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.vault.secret import Secret

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_an_added_tenant_is_listed_once_and_not_added_again(database: Database, tenant: str) -> None:
    assert [found.id for found in list_tenants(database)].count(tenant) == 1
    with pytest.raises(Misuse, match=f"'{tenant}' exists already"):
        add_tenant(database, tenant)


@pytest.mark.parametrize("text", ["", "Acme", "a,b", "a/b", "-a", "x" * 64])
def test_an_id_that_is_no_slug_is_refused(text: str, database: Database) -> None:
    with pytest.raises(Misuse) as raised:
        add_tenant(database, text)
    assert raised.value.code == "bad_tenant_id"


def test_an_unknown_tenant_is_answered_with_the_nearest(database: Database, tenant: str) -> None:
    with pytest.raises(Misuse, match=f"Did you mean {tenant}"):
        require_tenant(database, tenant + "x")


def test_a_connector_is_found_by_type_and_by_id(database: Database, connector: ConnectorRow) -> None:
    tenant = connector.tenant_id
    assert require_connector(database, tenant, "salesforce") == connector
    assert require_connector(database, tenant, connector.id) == connector
    assert get_connector(database, tenant, connector.id) == connector
    assert find_connector(database, tenant, ConnectorType.SALESFORCE) == connector
    assert find_connector(database, tenant, ConnectorType.FATHOM) is None
    assert connector.options == {"api_version": "60.0"}
    assert connector.status is ConnectorStatus.DISCONNECTED


def test_a_second_connector_of_a_type_is_refused_naming_the_first(database: Database, connector: ConnectorRow) -> None:
    with pytest.raises(Misuse, match=rf"already: 'Salesforce' \({connector.id}\)"):
        add_connector(database, connector.tenant_id, "salesforce", "Another")


def test_of_many_who_add_the_same_type_at_once_one_succeeds(database: Database, tenant: str) -> None:
    def attempt(_: int) -> str:
        try:
            return add_connector(database, tenant, "fathom").id
        except Misuse as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(attempt, range(8)))
    assert results.count("connector_exists") == 7


@pytest.mark.parametrize(
    ("tenant_id", "type", "code"),
    [("nobody", "salesforce", "unknown_tenant"), (None, "hubspot", "unknown_connector_type")],
)
def test_a_connector_of_an_unknown_tenant_or_type_is_refused(
    tenant_id: str | None, type: str, code: str, database: Database, tenant: str
) -> None:
    with pytest.raises(Misuse) as raised:
        add_connector(database, tenant_id or tenant, type)
    assert raised.value.code == code


def test_an_unknown_connector_is_answered_with_what_the_tenant_has(database: Database, connector: ConnectorRow) -> None:
    with pytest.raises(Misuse, match="Did you mean salesforce"):
        require_connector(database, connector.tenant_id, "salesfroce")
    with pytest.raises(Misuse) as raised:
        require_connector(database, "nobody", "salesforce")
    assert raised.value.code == "unknown_tenant"


def test_the_list_over_all_tenants_holds_no_options(database: Database, connector: ConnectorRow) -> None:
    of_all = next(row for row in list_connectors(database) if row.id == connector.id)
    assert of_all.options == {}
    assert list_connectors(database, connector.tenant_id) == [connector]


def test_an_error_stays_while_the_next_sync_runs_and_goes_when_it_succeeds(
    database: Database, connector: ConnectorRow
) -> None:
    def change(status: ConnectorStatus, **kwargs: object) -> ConnectorRow:
        with database.tenant(connector.tenant_id) as connection:
            set_status(connection, connector.tenant_id, connector.id, status, **kwargs)  # type: ignore[arg-type]
        return require_connector(database, connector.tenant_id, connector.id)

    failed = change(ConnectorStatus.ERROR, error_code="revoked", error_kind="reauthorize", error="Reconnect.")
    assert (failed.status, failed.error_code, failed.error_kind) == (ConnectorStatus.ERROR, "revoked", "reauthorize")
    running = change(ConnectorStatus.SYNCING)
    assert (running.status, running.last_sync_error) == (ConnectorStatus.SYNCING, "Reconnect.")
    done = change(ConnectorStatus.CONNECTED, synced_at=NOW, cursor="2026-11-23T12:00:00Z")
    assert (done.error_code, done.error_kind, done.last_sync_error, done.last_sync_at) == (None, None, None, NOW)
    assert done.version == connector.version + 3
    again = change(ConnectorStatus.CONNECTED)
    assert again.last_sync_at == NOW


def test_a_schedule_and_options_are_kept(database: Database, connector: ConnectorRow) -> None:
    set_schedule(database, connector.tenant_id, connector.id, "*/30 * * * *", "Europe/Vienna")
    set_options(database, connector.tenant_id, connector.id, {"page_size": 500})
    changed = require_connector(database, connector.tenant_id, connector.id)
    assert (changed.schedule_cron, changed.schedule_timezone) == ("*/30 * * * *", "Europe/Vienna")
    assert changed.options == {"page_size": 500}


def test_disconnecting_forgets_secrets_and_cursors_and_keeps_options(
    database: Database, connector: ConnectorRow, keyring: KeyRing
) -> None:
    tenant = connector.tenant_id
    credentials = StoredCredentials(database, keyring, tenant, connector.id)
    credentials.save({"access_token": Secret("a")})
    with database.tenant(tenant) as connection:
        cursors.put_state(connection, tenant, connector.id, cursors.StreamState("contacts", watermark="w"))
    disconnect(database, tenant, connector.id, actor="anna")
    with database.tenant(tenant) as connection:
        assert cursors.list_states(connection, tenant, connector.id) == []
    assert credentials.read() == {}
    assert require_connector(database, tenant, connector.id).options == {"api_version": "60.0"}


CHANGES: list[Callable[[Database, str, str], None]] = [
    disconnect,
    lambda database, tenant, connector: set_schedule(database, tenant, connector, None),
    lambda database, tenant, connector: set_options(database, tenant, connector, {}),
]


@pytest.mark.parametrize("change", CHANGES, ids=["disconnect", "schedule", "options"])
def test_changing_a_connector_that_is_not_there_is_refused(
    change: Callable[[Database, str, str], None], database: Database, tenant: str
) -> None:
    with pytest.raises(Misuse) as raised:
        change(database, tenant, "no-such-connector")
    assert raised.value.code == "unknown_connector"


def test_every_change_leaves_one_line_in_the_audit_log(database: Database, connector: ConnectorRow) -> None:
    tenant = connector.tenant_id
    set_schedule(database, tenant, connector.id, "0 * * * *", actor="anna")
    disconnect(database, tenant, connector.id, actor="anna")
    with database.tenant(tenant) as connection:
        chain = audit.verify_chain(connection, tenant)
        actions = connection.exec_driver_sql("SELECT action, user_id FROM audit_log ORDER BY position").all()
    assert chain.is_sound
    assert [tuple(row) for row in actions] == [
        ("tenant.create", "system"),
        ("connector.create", "system"),
        ("connector.schedule", "anna"),
        ("connector.disconnect", "anna"),
    ]
