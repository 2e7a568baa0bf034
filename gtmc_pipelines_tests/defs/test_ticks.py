"""Ticks of the schedule and of the partition sensor, on a real database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.defs.conftest import Connect
from gtmc_pipelines_tests.defs.reading import apply

TICK = datetime(2027, 1, 1, 4, tzinfo=UTC)


@pytest.mark.services
def test_a_tick_asks_for_one_run_that_names_every_due_tenant(
    tenant: str, connect: Connect, instance: dg.DagsterInstance
) -> None:
    connect(tenant)
    data = _tick(instance)
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
        asked = [r.run_config["ops"]["salesforce"]["config"]["tenant_ids"] for r in _tick(instance).run_requests or []]
        assert all(tenant not in tenants for tenants in asked)


@pytest.mark.services
def test_partitions_follow_the_connectors_table(
    tenant: str, connect: Connect, database: Database, instance: dg.DagsterInstance
) -> None:
    row = connect(tenant)
    instance.delete_dynamic_partition("salesforce_tenants", tenant)
    _sense(instance)
    assert tenant in instance.get_dynamic_partitions("salesforce_tenants")
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.DISCONNECTED)
    _sense(instance)
    assert tenant not in instance.get_dynamic_partitions("salesforce_tenants")
    assert _sense(instance) == "Partitions say what the connectors table says."


@pytest.mark.services
@pytest.mark.usefixtures("environment")
def test_a_connector_that_was_never_connected_is_no_partition(
    tenant: str, database: Database, instance: dg.DagsterInstance
) -> None:
    add_connector(database, tenant, "salesforce")
    _sense(instance)
    assert tenant not in instance.get_dynamic_partitions("salesforce_tenants")


def _tick(instance: dg.DagsterInstance) -> Any:
    repository = defs.get_repository_def()
    context = dg.build_schedule_context(
        instance=instance,
        repository_def=repository,
        scheduled_execution_time=TICK,
        resources={"gtmc": GtmcResource()},
    )
    return repository.get_schedule_def("salesforce_every_4_hours").evaluate_tick(context)


def _sense(instance: dg.DagsterInstance) -> str | None:
    """One tick of the sensor, applied as the daemon would; the reason when it was skipped."""
    repository = defs.get_repository_def()
    context = dg.build_sensor_context(instance=instance, repository_def=repository, resources={"gtmc": GtmcResource()})
    data = repository.get_sensor_def("tenant_partitions").evaluate_tick(context)
    apply(instance, data.dynamic_partitions_requests or [])
    return data.skip_message
