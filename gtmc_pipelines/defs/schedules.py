"""Schedules: every four hours one sweep run per connector type, however many tenants are due."""

# No postponed annotations here: Dagster reads those of its functions.

import dagster as dg

from gtmc_pipelines.defs.config import SyncConfig, SyncType
from gtmc_pipelines.defs.names import op_name
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.connector_types import ConnectorType

EVERY_FOUR_HOURS = "0 */4 * * *"


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
        description=f"Incremental sync of {connector.label} for every tenant that is due, as one sweep run.",
    )
    def every_four_hours(context: dg.ScheduleEvaluationContext, gtmc: GtmcResource) -> dg.RunRequest | dg.SkipReason:
        at = context.scheduled_execution_time
        due = gtmc.due_tenants(connector, at)
        if not due:
            return dg.SkipReason(f"No tenant's {connector.label} connector is due.")
        return dg.RunRequest(
            run_key=at.isoformat(),
            run_config=dg.RunConfig(
                ops={op_name(connector): SyncConfig(sync_type=SyncType.incremental, tenant_ids=due)}
            ),
            tags={"gtmc/tenants": str(len(due))},
        )

    return every_four_hours
