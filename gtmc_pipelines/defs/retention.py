"""Retention of Dagster's event log: a daily job that deletes what nobody looks at any more."""

# No postponed annotations here: Dagster reads those of its functions.

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

_BATCH = 10_000


class RetentionConfig(dg.Config):
    """How long events are kept, in days."""

    operational_days: int = Field(default=14, ge=1, description="Log lines and step events of runs.")
    history_days: int = Field(
        default=90, ge=1, description="Materializations that a newer one of their partition has replaced."
    )


@dg.op(description="Deletes old rows of Dagster's event log, in small transactions.")
def purge_event_log(context: dg.OpExecutionContext, config: RetentionConfig) -> None:
    """Every partition keeps its newest materialization, so no status and no latest value is ever lost."""
    from gtmc_pipelines.storage.dagster_events import purge_operational, purge_superseded

    storage = context.instance.event_log_storage
    if "Postgres" not in type(storage).__name__:
        context.log.warning("Dagster's events are not in PostgreSQL here: nothing was deleted.")
        return
    now = datetime.now(UTC)
    operational = _all_of(storage, purge_operational, now - timedelta(days=config.operational_days))
    superseded = _all_of(storage, purge_superseded, now - timedelta(days=config.history_days))
    context.log.info(f"{operational:,} operational events and {superseded:,} superseded asset events were deleted.")
    context.add_output_metadata({"operational": operational, "superseded": superseded})


@dg.job(
    name="event_log_retention",
    description="Keeps Dagster's database small: log lines for 14 days, superseded asset events for 90. The newest "
    "materialization of every partition stays. Change the days in the schedule's config.",
    tags={"dagster/priority": "-1"},
)
def event_log_retention() -> None:
    """One op."""
    purge_event_log()


retention_schedule = dg.ScheduleDefinition(
    name="event_log_retention_daily",
    job=event_log_retention,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Once a day, away from the sweeps.",
)


def _all_of(storage: Any, purge: Callable[[Any, datetime, int], int], before: datetime) -> int:
    total = 0
    while True:
        with storage.index_transaction() as connection:
            deleted = purge(connection, before, _BATCH)
        total += deleted
        if deleted < _BATCH:
            return total
