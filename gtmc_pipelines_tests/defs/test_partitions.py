"""Partition sets follow the connectors table."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from gtmc_pipelines.defs.partitions import partition_changes, tenants_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.defs.reading import apply

SALESFORCE, FATHOM = ConnectorType.SALESFORCE, ConnectorType.FATHOM


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def test_a_set_ends_with_exactly_the_connected_tenants(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("salesforce_tenants", ["acme", "gone"])
    changes = partition_changes(instance, {SALESFORCE: ["acme", "globex"]})
    assert [(c.added, c.removed) for c in changes] == [(("globex",), ("gone",))]
    apply(instance, [request for change in changes for request in change.requests()])
    assert set(instance.get_dynamic_partitions("salesforce_tenants")) == {"acme", "globex"}


def test_nothing_is_asked_for_when_nothing_changed(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("salesforce_tenants", ["acme"])
    assert partition_changes(instance, {SALESFORCE: ["acme"], FATHOM: []}) == []


def test_each_type_has_a_set_of_its_own(instance: dg.DagsterInstance) -> None:
    changes = partition_changes(instance, {SALESFORCE: ["acme"], FATHOM: ["globex"]})
    apply(instance, [request for change in changes for request in change.requests()])
    assert instance.get_dynamic_partitions("salesforce_tenants") == ["acme"]
    assert instance.get_dynamic_partitions("fathom_tenants") == ["globex"]


def test_a_sensor_asks_for_the_same_change(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("salesforce_tenants", ["gone"])
    (change,) = partition_changes(instance, {SALESFORCE: ["acme"]})
    add, delete = change.requests()
    assert (add.partition_keys, delete.partition_keys) == (["acme"], ["gone"])
    assert add.partitions_def_name == tenants_of(SALESFORCE).name == "salesforce_tenants"
