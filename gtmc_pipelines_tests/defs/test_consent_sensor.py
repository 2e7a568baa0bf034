"""The gate of Office 365: agreement, partition, first sync, withdrawal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest

from gtmc_pipelines.defs.assets import connector_assets
from gtmc_pipelines.defs.jobs import full_sync_job, sync_job
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.resources import vendor_resource
from gtmc_pipelines.defs.sensors.consent import consent_sensor
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import accept_dpa, withdraw_dpa
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.defs.reading import sentence
from gtmc_pipelines_tests.defs.sensing import sense
from gtmc_pipelines_tests.workflows.scripted import Gate, ScriptedConnector, people

pytestmark = pytest.mark.services

O365 = ConnectorType.O365
DEFINITIONS = dg.Definitions(
    assets=[connector_assets(O365, {})],
    jobs=[sync_job(O365), full_sync_job(O365)],
    sensors=[consent_sensor()],
    resources={"gtmc": GtmcResource(), "o365": vendor_resource(O365)},
    executor=dg.in_process_executor,
)


@pytest.fixture
def mailboxes(settings: Settings, database: Database, tenant: str) -> ConnectorRow:
    """The tenant's Office 365, connected, without an agreement."""
    row = add_connector(database, tenant, O365)
    StoredCredentials(database, key_ring(settings), tenant, row.id).save({"access_token": Secret("t")})
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
    return row


@pytest.fixture
def accept(database: Database, tenant: str) -> Callable[[], None]:
    def accepted() -> None:
        accept_dpa(database, tenant, actor="test", dpa_version="1", at=datetime.now(UTC))

    return accepted


def _asked(data: object) -> list[str]:
    return [request.tags["dagster/partition"] for request in getattr(data, "run_requests", None) or []]


@pytest.mark.usefixtures("mailboxes")
def test_without_the_agreement_there_is_nothing_to_click_and_the_tick_names_who_waits(
    tenant: str, instance: dg.DagsterInstance
) -> None:
    first = sense(instance, "o365_consent", definitions=DEFINITIONS)  # asks for what tenants of other tests accepted
    data = sense(instance, "o365_consent", cursor=first.cursor, definitions=DEFINITIONS)
    assert tenant not in instance.get_dynamic_partitions("o365_tenants")
    assert tenant in str(data.skip_message)
    assert "gtmc o365 accept-dpa" in str(data.skip_message)


@pytest.mark.usefixtures("mailboxes")
def test_acceptance_adds_the_partition_and_asks_for_one_full_sync(
    tenant: str, accept: Callable[[], None], instance: dg.DagsterInstance
) -> None:
    accept()
    data = sense(instance, "o365_consent", definitions=DEFINITIONS)
    assert tenant in instance.get_dynamic_partitions("o365_tenants")
    (request,) = [each for each in data.run_requests if each.tags["dagster/partition"] == tenant]
    assert request.job_name == "o365_full_sync"
    assert request.tags["gtmc/sync_type"] == "full"
    again = sense(instance, "o365_consent", cursor=data.cursor, definitions=DEFINITIONS)
    assert tenant not in _asked(again)


@pytest.mark.usefixtures("worker")
def test_withdrawal_cancels_the_running_sync_and_removes_the_partition(
    tenant: str,
    mailboxes: ConnectorRow,
    accept: Callable[[], None],
    settings: Settings,
    scripted: ScriptedConnector,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    accept()
    sense(instance, "o365_consent", definitions=DEFINITIONS)
    gate = Gate()
    scripted.script = {"email_metadata": [people(1), gate, people(1, 1)]}
    with SyncClient.open(settings) as client:
        handle = client.start(SyncRequest(tenant, mailboxes.id, O365), datetime.now(UTC))
        assert gate.reached.wait(30)
        withdraw_dpa(database, tenant, actor="test", at=datetime.now(UTC))
        sense(instance, "o365_consent", definitions=DEFINITIONS)
        gate.opened.set()
        assert not client.outcome(handle).is_success
    with database.tenant(tenant) as handle:
        stopped = list_entries(handle, tenant, 9)
    # Which is faster, the sensor's cancel or the look at the agreement before the next batch, is chance.
    assert {each.actor for each in stopped if each.action == "sync.cancel"} <= {"dagster:o365_consent"}
    assert ("o365.withdraw_dpa", "test") in [(each.action, each.actor) for each in stopped]
    assert tenant not in instance.get_dynamic_partitions("o365_tenants")


@pytest.mark.usefixtures("mailboxes", "worker")
def test_consent_withdrawn_between_click_and_run_fails_the_run_with_whose_turn_it_is(
    tenant: str, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("o365_tenants", [tenant])
    result = DEFINITIONS.resolve_job_def("o365_full_sync").execute_in_process(
        instance=instance, partition_key=tenant, raise_on_error=False
    )
    assert not result.success
    assert f"gtmc o365 accept-dpa --tenant {tenant}" in sentence(result)
