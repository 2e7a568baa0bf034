"""Syncs outside Dagster are recorded once, like its own; connectors whose workflow is gone are freed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from gtmc_pipelines.defs.names import SYNC_AT_TAG, raw_key
from gtmc_pipelines.defs.sensors.observer import NONE, Memory
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, require_connector
from gtmc_pipelines.storage.dead_letters import NewLetter, upsert_letters
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import run as execute
from gtmc_pipelines.workflows.activities import replay
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.defs.conftest import Connect, Materialize
from gtmc_pipelines_tests.defs.reading import materialized
from gtmc_pipelines_tests.defs.sensing import sense
from gtmc_pipelines_tests.workflows.scripted import ScriptedConnector, people

pytestmark = pytest.mark.services

OBSERVER = "syncs_outside_dagster"
CONTACTS = dg.AssetKey(["salesforce", "raw", "contacts"])
PEOPLE = dg.AssetKey(["salesforce", "canonical", "people"])


@pytest.fixture
def client(settings: Settings) -> Iterator[SyncClient]:
    with SyncClient.open(settings) as opened:
        yield opened


def _request(row: ConnectorRow, run_id: str = "") -> SyncRequest:
    return SyncRequest(row.tenant_id, row.id, row.type, dagster_run_id=run_id)


def _now() -> str:
    """A cursor that has seen all that ended until now; the feed looks back two minutes behind it."""
    return Memory(feed=json.dumps({"high": datetime.now(UTC).isoformat()})).as_text()


def _observe(instance: dg.DagsterInstance, cursor: str) -> str:
    """Ticks from a cursor on until all is seen, other tests' syncs in the same services too. Gives the cursor."""
    while True:
        data = sense(instance, OBSERVER, cursor=cursor)
        if data.skip_message == NONE:
            return str(data.cursor)
        cursor = data.cursor


def _events(instance: dg.DagsterInstance, key: dg.AssetKey, tenant: str) -> list[dg.AssetMaterialization]:
    found = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[tenant]), limit=50).records
    return [event for record in found if (event := record.asset_materialization) is not None]


@pytest.mark.usefixtures("worker")
def test_a_sync_outside_dagster_is_recorded_once_with_the_metadata_of_our_own(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    client: SyncClient,
    instance: dg.DagsterInstance,
) -> None:
    row = connect(tenant)
    scripted.script = {"contacts": [people(3)]}
    before = _now()
    assert client.outcome(client.start(_request(row), datetime.now(UTC))).is_success
    cursor = _observe(instance, before)
    (seen,) = _events(instance, PEOPLE, tenant)
    assert seen.metadata["created"].value == 3
    assert sense(instance, OBSERVER, cursor=cursor).skip_message == NONE
    _observe(instance, before)  # the cursor was lost
    assert len(_events(instance, PEOPLE, tenant)) == 1
    own = materialized(materialize(tenant, sync_type="full"), instance)["canonical/people"]
    assert seen.metadata["full_because"].value == "first sync"
    assert set(own.metadata) == set(seen.metadata) - {"full_because"} >= {"preview", "dagster/partition_row_count"}


@pytest.mark.usefixtures("worker")
def test_a_replay_of_dead_letters_is_recorded_for_the_tables_it_wrote_to(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    client: SyncClient,
    instance: dg.DagsterInstance,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replay, "connector_of", lambda kind: scripted)
    row = connect(tenant)
    kept = NewLetter("003A", "write", "batch_failed", "", b'{"Name": "Lee"}')
    with database.tenant(tenant) as handle:
        upsert_letters(handle, tenant, row.id, "contacts", [kept])
    before = _now()
    assert client.outcome(client.replay(_request(row), datetime.now(UTC))).totals.created == 1
    _observe(instance, before)
    (seen,) = _events(instance, PEOPLE, tenant)
    assert (seen.metadata["sync_type"].value, seen.metadata["created"].value) == ("replayed", 1)
    assert "dagster/partition_row_count" not in seen.metadata, "it has not seen all rows"
    assert _events(instance, CONTACTS, tenant) == []


@pytest.mark.usefixtures("worker")
def test_a_sync_that_ends_before_its_tenant_is_a_partition_is_recorded_and_a_disconnected_tenants_is_not(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    client: SyncClient,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    row = connect(tenant)
    instance.delete_dynamic_partition("salesforce_tenants", tenant)
    before = _now()
    assert client.outcome(client.start(_request(row), datetime.now(UTC))).is_success
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.DISCONNECTED)
    _observe(instance, before)
    assert _events(instance, PEOPLE, tenant) == []
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
    _observe(instance, before)
    sense(instance, "tenant_partitions")
    assert tenant in instance.get_dynamic_partitions("salesforce_tenants")
    assert len(_events(instance, PEOPLE, tenant)) == 1


@pytest.mark.usefixtures("worker")
def test_a_sync_of_our_own_run_is_left_to_it_unless_the_run_died(
    tenant: str, scripted: ScriptedConnector, connect: Connect, client: SyncClient, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    run = instance.create_run_for_job(_ours, status=dg.DagsterRunStatus.STARTED, tags={SYNC_AT_TAG: "x"})
    before = _now()
    assert client.outcome(client.start(_request(row, run.run_id), datetime.now(UTC))).is_success
    cursor = _observe(instance, before)
    assert _events(instance, CONTACTS, tenant) == []
    instance.report_run_failed(run)
    _observe(instance, cursor)
    assert len(_events(instance, CONTACTS, tenant)) == 1


@pytest.mark.usefixtures("worker")
def test_a_failed_sync_outside_dagster_is_an_observation_with_its_reason(
    tenant: str, scripted: ScriptedConnector, connect: Connect, client: SyncClient, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    scripted.script = {"contacts": [Broken("odd_page", "The vendor's page made no sense.")]}
    before = _now()
    client.outcome(client.start(_request(row), datetime.now(UTC)))
    _observe(instance, before)
    said = [
        str(record.asset_observation.description)
        for stream in STREAMS[row.type]
        for record in instance.fetch_observations(
            dg.AssetRecordsFilter(raw_key(row.type, stream.name), asset_partitions=[tenant]), limit=5
        ).records
        if record.asset_observation
    ]
    assert ["made no sense" in each for each in said] == [True]
    assert _events(instance, CONTACTS, tenant) == []
    assert _events(instance, dg.AssetKey(["salesforce", "raw", "leads"]), tenant)


def test_a_connector_whose_workflow_is_gone_is_freed_with_the_cause(
    tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.SYNCING)
        moment = datetime.now(UTC) - timedelta(minutes=5)
        execute(handle, "UPDATE connectors SET updated_at = %(at)s WHERE id = %(id)s", {"at": moment, "id": row.id})
    data = sense(instance, "stuck_connectors")
    now = require_connector(database, tenant, row.id)
    assert (now.status, now.error_code) == (ConnectorStatus.ERROR, "workflow_lost")
    assert tenant in str(data.skip_message)


@dg.job
def _ours() -> None:
    pass
