"""Partitions follow the connectors table."""

# No postponed annotations here: Dagster reads those of its functions.

import dagster as dg

from gtmc_pipelines.defs.partitions import partition_changes
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.showing import Log
from gtmc_pipelines.model.connector_types import ConnectorType


def partitions_sensor(types: tuple[ConnectorType, ...]) -> dg.SensorDefinition:
    """`tenant_partitions`: a tenant is a partition of a connector type while its connector is connected.

    Office 365 is not its business: there the agreement decides too (`o365_consent`).
    """
    followed = tuple(connector for connector in types if connector is not ConnectorType.O365)

    @dg.sensor(
        name="tenant_partitions",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Adds a tenant to a connector's partitions when it is connected, removes it when it is "
        "disconnected. History is kept: a tenant that comes back shows it again.",
    )
    def tenant_partitions(context: dg.SensorEvaluationContext, gtmc: GtmcResource) -> dg.SensorResult | dg.SkipReason:
        changes = partition_changes(context.instance, gtmc.connected_tenants(followed))
        if not changes:
            return dg.SkipReason("Partitions say what the connectors table says.")
        for change in changes:
            Log(context).info("{}: {} added, {} removed", change.connector, len(change.added), len(change.removed))
        return dg.SensorResult(dynamic_partitions_requests=[ask for change in changes for ask in change.requests()])

    return tenant_partitions
