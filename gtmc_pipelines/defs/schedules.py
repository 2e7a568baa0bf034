"""Schedules: every four hours one sweep run per connector type, however many tenants are due."""

# No postponed annotations here: Dagster reads those of its functions.

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from gtmc_pipelines.defs.config import SyncConfig, SyncType
from gtmc_pipelines.defs.due import SHARD_TENANTS, due_by_cadence, shards
from gtmc_pipelines.defs.names import op_name
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.connector_types import ConnectorType

EVERY_FOUR_HOURS = "0 */4 * * *"
CADENCE = timedelta(hours=4)


def sweep_schedule(connector: ConnectorType) -> dg.ScheduleDefinition:
    """`<type>_every_4_hours`: syncs the tenants that are due at the tick, in one run.

    Running from the start: a pipeline that doesn't run until somebody finds a switch is the worse
    surprise. It does nothing for tenants that were synced lately or are syncing.
    """

    @dg.schedule(
        name=f"{connector}_every_4_hours",
        cron_schedule=EVERY_FOUR_HOURS,
        execution_timezone="UTC",
        job_name=f"{connector}_sync",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Incremental sync of {connector.label} for every tenant that is due, as one sweep run "
        f"(more above {SHARD_TENANTS} tenants). Left out: tenants that are syncing, were synced within the last half "
        "hour, wait for their user or their quota, or have a cron of their own. "
        "After downtime only the newest tick runs.",
    )
    def every_four_hours(
        context: dg.ScheduleEvaluationContext, gtmc: GtmcResource
    ) -> dg.SkipReason | list[dg.RunRequest]:
        at = context.scheduled_execution_time
        if datetime.now(UTC) - at >= CADENCE:
            return dg.SkipReason("This tick was missed; the newest one catches up.")
        due = due_by_cadence(gtmc.due_connectors(connector, at), at)
        if not due:
            return dg.SkipReason(f"No tenant's {connector.label} connector is due.")
        return sweep_requests(connector, due, at.isoformat())

    return every_four_hours


def sweep_requests(connector: ConnectorType, tenants: Sequence[str], run_key: str) -> list[dg.RunRequest]:
    """Sweep runs over these tenants, about 500 in each. They go before backfills in the queue."""
    parts = shards(tenants)
    return [
        dg.RunRequest(
            run_key=run_key if number == 1 else f"{run_key}/{number}",
            job_name=f"{connector}_sync",
            run_config=dg.RunConfig(
                ops={op_name(connector): SyncConfig(sync_type=SyncType.incremental, tenant_ids=part)}
            ),
            tags={
                "gtmc/tenants": str(len(part)),
                "gtmc/shard": f"{number} of {len(parts)}",
                "dagster/priority": "1",
            },
        )
        for number, part in enumerate(parts, 1)
    ]
