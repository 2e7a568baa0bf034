"""Ticks of schedules and sensors in a test, evaluated and applied as the daemon does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import dagster as dg

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines_tests.defs.reading import apply


def tick(instance: dg.DagsterInstance, at: datetime, name: str = "salesforce_every_4_hours") -> Any:
    """One tick of a schedule."""
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance,
        repository_def=repository,
        scheduled_execution_time=at,
        resources={"gtmc": GtmcResource()},
    ) as context:
        return repository.get_schedule_def(name).evaluate_tick(context)


def sense(
    instance: dg.DagsterInstance, sensor: str, cursor: str | None = None, definitions: dg.Definitions = defs
) -> Any:
    """One tick of a sensor; partition changes and asset events are applied."""
    repository = definitions.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, cursor=cursor, resources={"gtmc": GtmcResource()}
    ) as context:
        data = repository.get_sensor_def(sensor).evaluate_tick(context)
    apply(instance, data.dynamic_partitions_requests or [])
    for event in data.asset_events or []:
        instance.report_runless_asset_event(event)
    return data
