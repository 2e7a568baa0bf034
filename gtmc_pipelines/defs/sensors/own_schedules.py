"""Connectors with a cron of their own are started when it comes round, deferred ones when their quota is back."""

# No postponed annotations here: Dagster reads those of its functions.

import json
from collections import defaultdict
from datetime import UTC, datetime

import dagster as dg

from gtmc_pipelines.defs.due import due_by_own_time, still_asked
from gtmc_pipelines.defs.jobs import sync_job
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.schedules import sweep_requests
from gtmc_pipelines.defs.showing import Log
from gtmc_pipelines.model.connector_types import ConnectorType


def own_schedules_sensor(types: tuple[ConnectorType, ...]) -> dg.SensorDefinition:
    """`own_schedules`: one sweep run per type for all connectors whose own time has come.

    The cursor remembers what was asked for, so that a run that waits in the queue is not asked for twice.
    """

    @dg.sensor(
        name="own_schedules",
        jobs=[sync_job(connector) for connector in types],
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Syncs connectors that have a cron of their own (gtmc connectors schedule), in their time "
        "zone, and any connector whose sync ended for its quota, once the time it named has come. After downtime one "
        "sync catches up, however many moments were missed.",
    )
    def own_schedules(context: dg.SensorEvaluationContext, gtmc: GtmcResource) -> dg.SensorResult:
        now = datetime.now(UTC)
        found = [
            each
            for each in gtmc.due_connectors(None, now)
            if each.type in types and (each.schedule_cron or each.deferred_until)
        ]
        asked = still_asked(json.loads(context.cursor) if context.cursor else {}, found)
        due, senseless = due_by_own_time(found, now, asked)
        for connector_id in senseless:
            said = "Connector {} has a cron or time zone that can't be read: set it again."
            Log(context).warning(said, connector_id)
        tenants: dict[ConnectorType, list[str]] = defaultdict(list)
        for each in due:
            tenants[each.due.type].append(each.due.tenant_id)
            asked[each.due.connector_id] = [each.moment.isoformat(), now.isoformat()]
        requests = [
            request
            for connector, due_now in tenants.items()
            for request in sweep_requests(connector, due_now, f"{connector}/{now.isoformat()}")
        ]
        reason = None if requests else f"None of {len(found)} connectors with a time of their own is due."
        return dg.SensorResult(run_requests=requests, cursor=json.dumps(asked), skip_reason=reason)

    return own_schedules
