"""Every sensor of the connector types that are there."""

from __future__ import annotations

import dagster as dg

from gtmc_pipelines.defs.sensors.consent import consent_sensor
from gtmc_pipelines.defs.sensors.observer import observer_sensor
from gtmc_pipelines.defs.sensors.own_schedules import own_schedules_sensor
from gtmc_pipelines.defs.sensors.partitions import partitions_sensor
from gtmc_pipelines.defs.sensors.stuck import stuck_sensor
from gtmc_pipelines.model.connector_types import ConnectorType


def sensors_of(types: tuple[ConnectorType, ...]) -> list[dg.SensorDefinition]:
    """Partitions, own schedules, syncs outside Dagster, stuck connectors; with Office 365 its gate."""
    gate = [consent_sensor()] if ConnectorType.O365 in types else []
    return [
        partitions_sensor(types),
        own_schedules_sensor(types),
        observer_sensor(types),
        stuck_sensor(types),
        *gate,
    ]
