"""Partitions: one dynamic set per connector type, whose keys are the tenants it is connected for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import dagster as dg

from gtmc_pipelines.defs.names import partitions_name
from gtmc_pipelines.model.connector_types import ConnectorType


@cache
def tenants_of(connector: ConnectorType) -> dg.DynamicPartitionsDefinition:
    """The partition set of a connector type; the same object wherever it is asked for."""
    return dg.DynamicPartitionsDefinition(name=partitions_name(connector))


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """What must be added to and removed from one set so that it says what the connectors table says."""

    connector: ConnectorType
    added: tuple[str, ...]
    removed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def requests(self) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
        """The change as a sensor asks for it."""
        partitions = tenants_of(self.connector)
        found: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
        if self.added:
            found.append(partitions.build_add_request(list(self.added)))
        if self.removed:
            found.append(partitions.build_delete_request(list(self.removed)))
        return found


def partition_changes(
    instance: dg.DagsterInstance, connected: Mapping[ConnectorType, Iterable[str]]
) -> list[PartitionChange]:
    """Differences between the sets and the tenants `connected` names, one per type, empty ones left out.

    Only types in `connected` are looked at. Keys are in alphabetical order.
    """
    changes = []
    for connector, tenants in connected.items():
        wanted, present = set(tenants), set(instance.get_dynamic_partitions(partitions_name(connector)))
        change = PartitionChange(connector, tuple(sorted(wanted - present)), tuple(sorted(present - wanted)))
        if change:
            changes.append(change)
    return changes
