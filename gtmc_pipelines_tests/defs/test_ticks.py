"""Ticks of the schedule and of the partition sensor, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.storage.connector_states import set_schedule, set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.defs.check_scene import CheckScene, sheet
from gtmc_pipelines_tests.defs.conftest import Connect
from gtmc_pipelines_tests.defs.sensing import sense, tick

TICK = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.services
def test_a_tick_asks_for_one_run_that_names_every_due_tenant(
    tenant: str, connect: Connect, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    data = tick(instance, TICK)
    (request,) = data.run_requests or []
    config = request.run_config["ops"]["salesforce"]["config"]
    assert tenant in config["tenant_ids"]
    assert config["sync_type"] == "incremental"
    assert request.run_key == TICK.isoformat()
    job = defs.resolve_job_def("salesforce_sync")
    assert dg.validate_run_config(job, request.run_config)


@pytest.mark.services
def test_a_running_and_a_disconnected_tenant_are_not_due(
    tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    for status in (ConnectorStatus.SYNCING, ConnectorStatus.DISCONNECTED):
        with database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, status)
        asked = [
            r.run_config["ops"]["salesforce"]["config"]["tenant_ids"] for r in tick(instance, TICK).run_requests or []
        ]
        assert all(tenant not in tenants for tenants in asked)


@pytest.mark.services
def test_partitions_follow_the_connectors_table(
    tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    instance.delete_dynamic_partition("salesforce_tenants", tenant)
    sense(instance, "tenant_partitions")
    assert tenant in instance.get_dynamic_partitions("salesforce_tenants")
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.DISCONNECTED)
    sense(instance, "tenant_partitions")
    assert tenant not in instance.get_dynamic_partitions("salesforce_tenants")
    assert sense(instance, "tenant_partitions").skip_message == "Partitions say what the connectors table says."


@pytest.mark.services
@pytest.mark.usefixtures("environment")
def test_a_connector_that_was_never_connected_is_no_partition(
    tenant: str, database: Database, instance: dg.DagsterInstance
) -> None:
    add_connector(database, tenant, "salesforce")
    sense(instance, "tenant_partitions")
    assert tenant not in instance.get_dynamic_partitions("salesforce_tenants")


@pytest.mark.services
def test_a_tick_that_was_missed_long_ago_leaves_it_to_the_newest(
    tenant: str, connect: Connect, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    data = tick(instance, TICK - timedelta(hours=5))
    assert not data.run_requests
    assert "catches up" in str(data.skip_message)


@pytest.mark.services
@pytest.mark.parametrize("cron", [None, "0 3 1 * *"])
def test_a_sync_deferred_for_its_quota_goes_on_by_itself_once_its_time_has_come(
    cron: str | None, tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    if cron:
        set_schedule(database, tenant, row.id, cron)
    scene = CheckScene(database, row, datetime.now(UTC))
    deferred = scene.synced(0, contacts=sheet(1))
    scene.status(ConnectorStatus.ERROR, error_code="api_quota", error_kind="defer", error="No calls are left.")
    scene.defer(deferred, scene.now + timedelta(hours=1))
    assert tenant not in asked_for(sense(instance, "own_schedules"))
    scene.defer(deferred, scene.now)
    first = sense(instance, "own_schedules")
    assert tenant in asked_for(first)
    again = sense(instance, "own_schedules", cursor=first.cursor)
    assert tenant not in asked_for(again)
    assert tenant not in asked_for(tick(instance, datetime.now(UTC)))


def asked_for(data: Any) -> list[str]:
    """Tenants in the run requests of a tick."""
    configs = [request.run_config["ops"].get("salesforce") for request in data.run_requests or []]
    return [tenant for found in configs if found for tenant in found["config"]["tenant_ids"]]


@pytest.mark.services
def test_a_connector_with_its_own_cron_is_started_by_the_sensor_once_and_not_by_the_schedule(
    tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    set_schedule(database, tenant, row.id, "* * * * *", "Europe/Berlin")
    asked = [r.run_config["ops"]["salesforce"]["config"]["tenant_ids"] for r in tick(instance, TICK).run_requests or []]
    assert all(tenant not in tenants for tenants in asked)
    first = sense(instance, "own_schedules")
    (request,) = [r for r in first.run_requests if tenant in r.run_config["ops"]["salesforce"]["config"]["tenant_ids"]]
    assert request.job_name == "salesforce_sync"
    second = sense(instance, "own_schedules", cursor=first.cursor)
    again = [t for r in second.run_requests or [] for t in r.run_config["ops"]["salesforce"]["config"]["tenant_ids"]]
    assert tenant not in again or datetime.now(UTC).minute != TICK.minute, "the next minute is another moment"
