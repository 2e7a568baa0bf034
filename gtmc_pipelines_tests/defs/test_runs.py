"""Runs against real PostgreSQL and Temporal, with a connector that does as it is told."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.checks.catalog import CHECKS
from gtmc_pipelines.defs.names import SYNC_AT_TAG, SYNC_TYPE_TAG
from gtmc_pipelines.defs.partitions import tenants_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.workflows.activities import renormalize
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.defs.conftest import Connect, Materialize
from gtmc_pipelines_tests.defs.reading import log_lines, materialized, number, sentence, stored_events
from gtmc_pipelines_tests.workflows.scripted import CANARY_EMAIL, Gate, ScriptedConnector, people

pytestmark = pytest.mark.services

PEOPLE = dg.AssetKey(["salesforce", "canonical", "people"])


@pytest.mark.usefixtures("worker")
def test_a_tenants_sync_materializes_every_asset_with_its_own_counts(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    connect(tenant)
    scripted.script = {"contacts": [people(3)], "leads": [people(2, start=10)]}
    result = materialize(tenant)
    assert result.success, sentence(result)
    events = materialized(result, instance)
    assert len(events) == 10
    assert {event.partition for event in events.values()} == {tenant}
    assert [number(events[key], "created") for key in ("raw/contacts", "raw/leads", "canonical/people")] == [3, 2, 5]
    assert number(events["raw/accounts"], "read") == 0
    (log,) = list_syncs(database, tenant)
    people_event = events["canonical/people"]
    assert people_event.metadata["workflow_id"].value == log.workflow_id
    assert str(log.workflow_id) in str(people_event.metadata["workflow"].value)
    assert log.id in str(people_event.metadata["sync_log"].value)
    assert (people_event.tags or {})["dagster/data_version"] == log.workflow_run_id
    assert (log.dagster_run_id, log.requested_by) == (result.run_id, "dagster")
    lines = log_lines(result, instance)
    assert "http://temporal.example" in lines[1]
    assert CANARY_EMAIL not in str([event.metadata for event in events.values()]) + "".join(lines)


@pytest.mark.usefixtures("worker")
def test_checks_alone_start_no_sync(
    tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    key = dg.AssetCheckKey(dg.AssetKey(["salesforce", "raw", "leads"]), "balance_sheet")
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection={key})
    result = job.execute_in_process(instance=instance)
    assert [check.check_name for check in result.get_asset_check_evaluations()] == ["balance_sheet"]
    assert list_syncs(database, tenant) == []


@pytest.mark.usefixtures("worker")
def test_every_check_of_every_asset_is_answered_in_the_same_run(
    tenant: str, scripted: ScriptedConnector, connect: Connect, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    result = materialize(tenant)
    checks = result.get_asset_check_evaluations()
    assert len({check.asset_check_key for check in checks}) == len(checks) == 10 * len(CHECKS)
    sheets = {check.asset_key.path[-1]: check for check in checks if check.check_name == "balance_sheet"}
    assert int(str(sheets["contacts"].metadata["sheets"].value)) >= 1
    assert not any("did not yield" in line for line in log_lines(result, instance))


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("tags", "config", "mode"),
    [
        ({}, {}, SyncMode.INCREMENTAL),
        ({"dagster/backfill": "b1"}, {}, SyncMode.FULL),
        ({}, {"sync_type": "full"}, SyncMode.FULL),
        ({SYNC_TYPE_TAG: "full"}, {}, SyncMode.FULL),
    ],
)
def test_a_backfill_the_config_and_the_tag_make_a_sync_full_and_the_run_remembers_it(
    tags: dict[str, str],
    config: dict[str, str],
    mode: SyncMode,
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    connect(tenant)
    materialize(tenant)  # the very first sync reads everything, whatever was asked for
    result = materialize(tenant, tags=tags, **config)
    assert list_syncs(database, tenant)[0].sync_type is mode
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[SYNC_TYPE_TAG] == mode.value


@pytest.mark.usefixtures("worker")
def test_a_selection_of_assets_reads_only_the_streams_it_needs(
    tenant: str, scripted: ScriptedConnector, connect: Connect, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    result = materialize(tenant, assets=["raw/accounts", "canonical/people"])
    assert set(materialized(result, instance)) == {"raw/accounts", "canonical/people"}
    assert {stream for stream, _ in scripted.reads} == {"accounts", "contacts", "leads"}


@pytest.mark.usefixtures("worker")
def test_a_stream_that_fails_leaves_its_assets_unmaterialized_and_the_run_failed_with_the_reason(
    tenant: str, scripted: ScriptedConnector, connect: Connect, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    fault = Broken("odd_page", "The vendor's page made no sense.", next_step="Tell us.")
    scripted.script = {"contacts": [people(2)], "leads": [fault]}
    result = materialize(tenant)
    assert not result.success
    assert "made no sense" in sentence(result)
    events = materialized(result, instance)
    assert "raw/contacts" in events
    assert not {"raw/leads", "canonical/people"} & set(events)


@pytest.mark.usefixtures("worker")
def test_a_sweep_records_every_tenant_that_worked_and_names_the_one_that_did_not(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    second, third = f"{tenant}-2", f"{tenant}-3"
    for other in (second, third):
        add_tenant(database, other)
    connect(tenant)
    connect(second)
    instance.add_dynamic_partitions("salesforce_tenants", [third])
    result = materialize(tenant_ids=[tenant, second, third])
    assert not result.success
    assert sentence(result).startswith(f"1 of 3 tenants failed. {third}: ")
    events = stored_events(result, instance)
    assert {event.partition for event in events} == {tenant, second}
    assert len(events) == 20
    statuses = instance.get_status_by_partition(PEOPLE, [tenant, second, third], tenants_of(ConnectorType.SALESFORCE))
    assert [status.value if status else None for status in (statuses or {}).values()] == [
        *("MATERIALIZED", "MATERIALIZED", "FAILED")
    ]


@pytest.mark.usefixtures("worker")
def test_only_canonical_assets_are_made_again_from_raw_without_the_vendor(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renormalize, "connector_of", lambda kind: scripted)
    connect(tenant)
    scripted.script = {"contacts": [people(3)]}
    materialize(tenant)
    scripted.reads.clear()
    result = materialize(tenant, assets=["canonical/people"])
    assert result.success, sentence(result)
    assert scripted.reads == []
    (event,) = stored_events(result, instance)
    assert event.asset_key == PEOPLE
    assert (number(event, "unchanged"), event.metadata["sync_type"].value) == (3, "renormalized")
    assert list_syncs(database, tenant)[0].trigger == "renormalize"


@pytest.mark.usefixtures("worker")
def test_re_executing_a_sweep_syncs_again_only_what_failed_and_records_nothing_twice(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    late = f"{tenant}-late"
    add_tenant(database, late)
    connect(tenant)
    first = materialize(tenant_ids=[tenant, late])
    connect(late)
    again = materialize(tenant_ids=[tenant, late], tags=_child_of(first.run_id))
    assert again.success, sentence(again)
    assert {event.partition for event in stored_events(again, instance)} == {late}
    assert len(list_syncs(database, tenant)) == 1


@pytest.mark.usefixtures("worker")
def test_a_run_whose_parent_started_the_sync_attaches_to_it(
    tenant: str,
    settings: Settings,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    row = connect(tenant)
    parent, at = _parent(instance)
    with SyncClient.open(settings) as client:
        client.start(SyncRequest(tenant, row.id, row.type), at)
    result = materialize(tenant, tags=_child_of(parent))
    assert result.success, sentence(result)
    assert len(materialized(result, instance)) == 10
    assert len(list_syncs(database, tenant)) == 1


@pytest.mark.usefixtures("worker")
def test_a_parent_whose_sync_failed_is_followed_by_a_new_sync(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
) -> None:
    connect(tenant)
    scripted.script = {"leads": [Broken("odd_page", "The vendor's page made no sense.")]}
    first = materialize(tenant)
    scripted.script = {}
    again = materialize(tenant, tags=_child_of(first.run_id))
    assert (first.success, again.success) == (False, True)
    assert len({log.workflow_id for log in list_syncs(database, tenant)}) == 2


@pytest.mark.usefixtures("worker")
def test_a_re_execution_that_asks_for_a_full_sync_is_not_content_with_its_parents_incremental_one(
    tenant: str,
    settings: Settings,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    row = connect(tenant)
    materialize(tenant)  # the very first sync is full
    parent, at = _parent(instance)
    with SyncClient.open(settings) as client:
        assert client.outcome(client.start(SyncRequest(tenant, row.id, row.type), at)).is_success
    result = materialize(tenant, tags=_child_of(parent), sync_type="full")
    assert result.success, sentence(result)
    assert {event.metadata["sync_type"].value for event in materialized(result, instance).values()} == {"full"}
    newest, inherited, _ = list_syncs(database, tenant)
    assert (newest.sync_type, newest.dagster_run_id) == (SyncMode.FULL, result.run_id)
    assert inherited.sync_type is SyncMode.INCREMENTAL


def test_without_a_worker_the_run_fails_at_once_and_says_what_to_start(
    tenant: str, connect: Connect, materialize: Materialize, database: Database
) -> None:
    connect(tenant)
    result = materialize(tenant)
    assert "No worker is polling" in sentence(result)
    assert "gtmc worker" in sentence(result)
    assert list_syncs(database, tenant) == []


@pytest.mark.usefixtures("worker")
def test_a_tenant_without_a_connector_and_a_run_without_a_tenant_are_told_what_to_do(
    tenant: str, materialize: Materialize, instance: dg.DagsterInstance
) -> None:
    instance.add_dynamic_partitions("salesforce_tenants", [tenant])
    assert "gtmc connectors add" in sentence(materialize(tenant))
    assert "tenant_ids" in sentence(materialize())
    assert "accounts, contacts" in sentence(materialize(tenant, streams=["account"]))


def test_an_unreachable_temporal_is_named(
    tenant: str, connect: Connect, materialize: Materialize, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(tenant)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    assert "Temporal at 127.0.0.1:1 can't be reached" in sentence(materialize(tenant))


@pytest.mark.usefixtures("worker")
def test_a_run_that_meets_another_sync_follows_it_and_then_does_what_that_one_left_out(
    tenant: str,
    settings: Settings,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    row = connect(tenant)
    gate = Gate()
    scripted.script = {"contacts": [people(2), gate, people(2, start=2)]}

    def open_when_followed() -> None:
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline and not gate.opened.wait(0.1):
            if any("Another sync" in line for run in instance.get_runs() for line in _said(instance, run.run_id)):
                gate.opened.set()

    with SyncClient.open(settings) as client:
        other = client.start(SyncRequest(tenant, row.id, row.type, streams=("contacts",)), datetime.now(UTC))
        assert gate.reached.wait(30)
        opener = threading.Thread(target=open_when_followed)
        opener.start()
        result = materialize(tenant)
        opener.join()
    assert result.success, sentence(result)
    assert any("did less than this run asks for" in line for line in log_lines(result, instance))
    newest, first = list_syncs(database, tenant)
    assert first.workflow_id == other.workflow_id
    assert (newest.dagster_run_id, len(newest.stream_counts)) == (result.run_id, 6)
    assert len(materialized(result, instance)) == 10


def _said(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run_id) if not entry.is_dagster_event]


def _child_of(run_id: str) -> dict[str, str]:
    return {"dagster/parent_run_id": run_id, "dagster/root_run_id": run_id}


def _parent(instance: dg.DagsterInstance) -> tuple[str, datetime]:
    """A run that was killed after it had pinned the moment of its sync."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    run = instance.create_run_for_job(_killed, status=dg.DagsterRunStatus.FAILURE, tags={SYNC_AT_TAG: at.isoformat()})
    return run.run_id, at


@dg.job
def _killed() -> None:
    pass


@pytest.mark.usefixtures("worker")
def test_a_run_for_a_partition_that_is_none_says_which_tenant_is_unknown(materialize: Materialize) -> None:
    said = sentence(materialize(tags={"dagster/partition": "nobody-we-know"}))
    assert "nobody-we-know" in said
    assert "gtmc tenants" in said
