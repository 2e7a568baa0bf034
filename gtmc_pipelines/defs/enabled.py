"""Which connector types Dagster shows: those whose connector is registered, with their default mappings."""

from __future__ import annotations

from functools import cache

from gtmc_pipelines.connectors.registry import CONNECTORS, connector_of
from gtmc_pipelines.defs.columns import Mappings
from gtmc_pipelines.model.connector_types import ConnectorType


@cache
def enabled_types() -> tuple[ConnectorType, ...]:
    """Types with a registered connector, in the platform's order. For the others nothing is defined."""
    return tuple(connector for connector in ConnectorType if connector in CONNECTORS)


@cache
def default_mappings(connector: ConnectorType) -> Mappings:
    """Default mapping of each entity, as the connector states them."""
    return dict(connector_of(connector).default_mappings())
