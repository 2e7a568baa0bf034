"""The Dagster Definitions object: composed here, defined in `defs`. Loads without any service running."""

from __future__ import annotations

import dagster as dg

from gtmc_pipelines.defs.alerts import alerts_sensor
from gtmc_pipelines.defs.assets import connector_assets
from gtmc_pipelines.defs.enabled import default_mappings, enabled_types
from gtmc_pipelines.defs.jobs import full_sync_job, sync_job
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.resources import vendor_resource
from gtmc_pipelines.defs.retention import event_log_retention, retention_schedule
from gtmc_pipelines.defs.schedules import sweep_schedule
from gtmc_pipelines.defs.sensors.composed import sensors_of
from gtmc_pipelines.defs.showing import one_line_logs

one_line_logs()  # of the processes that load this: code server and run workers

_TYPES = enabled_types()

defs = dg.Definitions(
    assets=[connector_assets(connector, default_mappings(connector)) for connector in _TYPES],
    jobs=[
        *(job for connector in _TYPES for job in (sync_job(connector), full_sync_job(connector))),
        event_log_retention,
    ],
    schedules=[*(sweep_schedule(connector) for connector in _TYPES), retention_schedule],
    sensors=[*sensors_of(_TYPES), alerts_sensor()],
    resources={"gtmc": GtmcResource(), **{str(connector): vendor_resource(connector) for connector in _TYPES}},
    executor=dg.in_process_executor,  # a step waits for a workflow: a process of its own would only cost time
)
