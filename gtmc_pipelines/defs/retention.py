"""Retention of Dagster's event log: a daily job that deletes what nobody looks at any more."""

# No postponed annotations here: Dagster reads those of its functions.

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from gtmc_pipelines.defs.jobs import full_sync_job, sync_job
from gtmc_pipelines.defs.recording import streams_of_assets
from gtmc_pipelines.defs.run_config import UNSAID
from gtmc_pipelines.defs.showing import Log
from gtmc_pipelines.model.connector_types import ConnectorType

if TYPE_CHECKING:
    from gtmc_pipelines.storage.dagster_events import Ours

_BATCH = 10_000


class RetentionConfig(dg.Config):
    """How long events are kept, in days."""

    model_config = UNSAID
    operational_days: int = Field(
        default=14,
        ge=1,
        description="Log lines and step events of runs, and answers of checks that a newer one replaced.",
    )
    history_days: int = Field(
        default=90, ge=1, description="Materializations that a newer one of their partition has replaced."
    )


@dg.op(description="Deletes old rows of Dagster's event log, in small transactions.")
def purge_event_log(context: dg.OpExecutionContext, config: RetentionConfig) -> None:
    """Every partition keeps its newest materialization and every check its newest answer, so no status is ever lost.

    Other teams' runs and assets in the same Dagster are left alone.
    """
    from gtmc_pipelines.storage import dagster_events as events

    storage = context.instance.event_log_storage
    if "Postgres" not in type(storage).__name__:
        Log(context).warning("Dagster's events are not in PostgreSQL here: nothing was deleted.")
        return
    now = datetime.now(UTC)
    operational_until, history_until = (now - timedelta(days=d) for d in (config.operational_days, config.history_days))
    counts = {
        "operational": _all_of(storage, events.purge_operational, operational_until),
        "answers_of_checks": _all_of(storage, events.purge_answers, operational_until),
        "superseded": _all_of(storage, events.purge_superseded, history_until),
    }
    listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    Log(context).info("Deleted: {}", listed)
    context.add_output_metadata(counts)


@dg.job(
    name="event_log_retention",
    description="Keeps Dagster's database small: log lines and answers of checks for 14 days, superseded asset events "
    "for 90. The newest materialization of every partition and the newest answer of every check stay, and so does all "
    "that isn't ours. Change the days in the schedule's config.",
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


def _all_of(storage: Any, purge: "Callable[[Any, Ours, datetime, int], int]", before: datetime) -> int:
    total, ours = 0, _ours()
    while True:
        with storage.index_transaction() as connection:
            deleted = purge(connection, ours, before, _BATCH)
        total += deleted
        if deleted < _BATCH:
            return total


def _ours() -> "Ours":
    """Jobs and assets of every connector type, of those that are switched off here as well."""
    from gtmc_pipelines.storage.dagster_events import Ours

    jobs = [job(connector).name for connector in ConnectorType for job in (sync_job, full_sync_job)]
    assets = [key.to_string() for connector in ConnectorType for key in streams_of_assets(connector)]
    return Ours((*jobs, event_log_retention.name), tuple(assets))
