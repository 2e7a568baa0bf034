"""What schedules and sensors see of all tenants."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.phases import Outcome, SyncMode, Trigger
from gtmc_pipelines.storage import leases, o365
from gtmc_pipelines.storage.connector_states import set_schedule, set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.read_models import connected_tenants, due_connectors, syncing_since
from gtmc_pipelines.storage.sync_logs import close_sync_log, open_sync_log

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _set(database: Database, connector: ConnectorRow, status: ConnectorStatus, kind: str | None = None) -> None:
    with database.tenant(connector.tenant_id) as connection:
        set_status(connection, connector.tenant_id, connector.id, status, error_kind=kind)


def _is_due(database: Database, connector: ConnectorRow, now: datetime = NOW) -> bool:
    return connector.id in {due.connector_id for due in due_connectors(database, connector.type, now)}


@pytest.mark.parametrize(
    ("status", "kind", "is_due"),
    [
        (ConnectorStatus.CONNECTED, None, True),
        (ConnectorStatus.ERROR, "retry", True),
        (ConnectorStatus.ERROR, "broken", True),
        (ConnectorStatus.ERROR, None, True),
        (ConnectorStatus.ERROR, "reauthorize", False),
        (ConnectorStatus.SYNCING, None, False),
        (ConnectorStatus.DISCONNECTED, None, False),
    ],
)
def test_a_schedule_syncs_what_is_connected_or_may_mend_by_itself(
    status: ConnectorStatus, kind: str | None, is_due: bool, database: Database, connector: ConnectorRow
) -> None:
    _set(database, connector, status, kind)
    assert _is_due(database, connector) is is_due


def test_a_deferred_connector_waits_for_its_time(database: Database, connector: ConnectorRow) -> None:
    tenant, until = connector.tenant_id, NOW + timedelta(hours=6)
    _set(database, connector, ConnectorStatus.CONNECTED)
    with database.tenant(tenant) as connection:
        sync = open_sync_log(
            connection,
            tenant,
            connector.id,
            mode=SyncMode.FULL,
            workflow_id="w",
            workflow_run_id=uuid.uuid4().hex,
            trigger=Trigger.SCHEDULE,
        )
        close_sync_log(connection, tenant, sync, Outcome.DEFERRED, deferred_until=until)
    assert not _is_due(database, connector, until - timedelta(seconds=1))
    assert _is_due(database, connector, until)


def test_a_due_connector_comes_with_its_own_schedule(database: Database, connector: ConnectorRow) -> None:
    set_schedule(database, connector.tenant_id, connector.id, "0 6 * * *", "Europe/Vienna")
    _set(database, connector, ConnectorStatus.CONNECTED)
    (due,) = (found for found in due_connectors(database, None, NOW) if found.connector_id == connector.id)
    assert (due.schedule_cron, due.schedule_timezone, due.last_sync_at) == ("0 6 * * *", "Europe/Vienna", None)


def test_office_365_is_nowhere_before_its_agreement_is_accepted(database: Database, tenant: str) -> None:
    connector = add_connector(database, tenant, "o365")
    _set(database, connector, ConnectorStatus.CONNECTED)
    assert not _is_due(database, connector)
    assert tenant not in connected_tenants(database, ConnectorType.O365)
    o365.accept_dpa(database, tenant, actor="anna", dpa_version="1", at=NOW)
    assert _is_due(database, connector)
    assert tenant in connected_tenants(database, ConnectorType.O365)
    o365.withdraw_dpa(database, tenant, actor="anna", at=NOW)
    assert not _is_due(database, connector)
    assert tenant not in connected_tenants(database, ConnectorType.O365)


def test_a_tenant_is_connected_from_authentication_to_disconnection(
    database: Database, connector: ConnectorRow
) -> None:
    for status in ConnectorStatus:
        _set(database, connector, status)
        is_connected = connector.tenant_id in connected_tenants(database, ConnectorType.SALESFORCE)
        assert is_connected is (status is not ConnectorStatus.DISCONNECTED)


def test_a_connector_long_on_syncing_is_found_with_the_workflow_that_holds_it(
    database: Database, connector: ConnectorRow
) -> None:
    _set(database, connector, ConnectorStatus.SYNCING)
    with database.tenant(connector.tenant_id) as connection:
        leases.take(connection, connector.tenant_id, connector.id, "run-1", "workflow-1")
    later, earlier = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
    (stuck,) = (found for found in syncing_since(database, later) if found.connector_id == connector.id)
    assert (stuck.owner_workflow, stuck.owner_run) == ("workflow-1", "run-1")
    assert connector.id not in {found.connector_id for found in syncing_since(database, earlier)}
