"""Syncs that ran outside Dagster, or that their run could not record, are recorded as if a run had done it."""

# No postponed annotations here: Dagster reads those of its functions.

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dagster as dg

from gtmc_pipelines.defs import showing
from gtmc_pipelines.defs.metadata import Metadata, facts_of, workflow_links
from gtmc_pipelines.defs.names import raw_key
from gtmc_pipelines.defs.platform import GtmcResource, Platform
from gtmc_pipelines.defs.preview import with_preview
from gtmc_pipelines.defs.recording import events_of, is_recorded
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType

if TYPE_CHECKING:
    from gtmc_pipelines.storage.sync_history import SyncLog

EVENTS_A_TICK = 300
NONE = "No sync has ended outside Dagster since the last look."
_MOST_ASSETS = 10  # of one connector type
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

AssetEvent = dg.AssetMaterialization | dg.AssetObservation


@dataclass
class Memory:
    """The sensor's cursor: where the feed stands, our runs that have not ended, workflows put off to the next tick."""

    feed: str | None = None
    runs: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cursor: str | None) -> "Memory":
        """From the sensor's cursor."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def as_text(self) -> str:
        """As the sensor keeps it."""
        return json.dumps({"feed": self.feed, "runs": self.runs, "later": self.later})


def observer_sensor(types: tuple[ConnectorType, ...]) -> dg.SensorDefinition:
    """`syncs_outside_dagster`: what the CLI, a Temporal schedule or the platform's app synced, exactly once.

    A sync of one of our own runs is left to that run. When the run has ended without recording it
    (its process was killed, its time was up), it is recorded here too.
    """

    @dg.sensor(
        name="syncs_outside_dagster",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Records syncs that were not started by Dagster, with the same metadata as its own. A failed "
        f"one becomes an observation with its reason. At most {EVENTS_A_TICK} events a tick, the rest at the next.",
    )
    def syncs_outside_dagster(
        context: dg.SensorEvaluationContext, gtmc: GtmcResource
    ) -> dg.SensorResult | dg.SkipReason:
        with gtmc.open() as platform:
            memory = Memory.of(context.cursor)
            logs = _ended(context.instance, platform, memory)
            recorded = _record(context.instance, platform, _to_be_shown(platform, logs, types), memory)
        return dg.SensorResult(
            cursor=memory.as_text(), skip_reason=f"Recorded {recorded} events." if recorded else NONE
        )

    return syncs_outside_dagster


def _ended(instance: dg.DagsterInstance, platform: Platform, memory: Memory) -> "list[SyncLog]":
    """Logs to look at: put off at the last tick, newly closed outside, and those of runs that have ended since."""
    from gtmc_pipelines.storage.sync_history import syncs_by_workflow, syncs_of_run

    workflows, runs = memory.later, memory.runs
    if len(workflows) < EVENTS_A_TICK // _MOST_ASSETS:
        page = platform.client.closed_since(memory.feed, EVENTS_A_TICK)
        memory.feed = page.cursor
        workflows = [*workflows, *(sync.workflow_id for sync in page.syncs if not sync.dagster_run_id)]
        runs = list(dict.fromkeys([*runs, *(sync.dagster_run_id for sync in page.syncs if sync.dagster_run_id)]))
    logs = list(syncs_by_workflow(platform.database, workflows).values())
    memory.runs = []
    for run_id in runs:
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status not in _FINISHED:
            memory.runs.append(run_id)
        elif run is None or run.status is not dg.DagsterRunStatus.SUCCESS:  # a run that succeeded has recorded all
            logs += syncs_of_run(platform.database, run_id)
    return logs


def _to_be_shown(platform: Platform, logs: "list[SyncLog]", types: tuple[ConnectorType, ...]) -> "list[SyncLog]":
    """Logs of tenants that are, or are about to become, partitions: a sync may be faster than the partitions' sensor.

    Whoever is disconnected has nowhere to be shown.
    """
    from gtmc_pipelines.storage.read_models import connected_by_type

    connected = connected_by_type(platform.database, types) if logs else {}
    shown = {(connector.value, tenant) for connector, tenants in connected.items() for tenant in tenants}
    return [log for log in logs if (log.connector, log.tenant_id) in shown]


def _record(instance: dg.DagsterInstance, platform: Platform, logs: "list[SyncLog]", memory: Memory) -> int:
    """Store the events of the first logs, as many as a tick takes, and put off the others; how many there were.

    Here and not in the sensor's result: a run may be about to record the same sync.
    """
    from gtmc_pipelines.storage.recording import recording

    recorded = 0
    memory.later = []
    for log in logs:
        if recorded + _MOST_ASSETS > EVENTS_A_TICK:
            memory.later.append(str(log.workflow_id))
            continue
        with recording(platform.database, [str(log.workflow_run_id)]):
            for event in _events_of(instance, platform, log):
                instance.report_runless_asset_event(event)
                recorded += 1
    return recorded


def _events_of(instance: dg.DagsterInstance, platform: Platform, log: "SyncLog") -> list[AssetEvent]:
    from gtmc_pipelines.workflows.client import workflow_url

    facts = facts_of(log, url=workflow_url(platform.settings, log.workflow_id or ""))
    news = [event for event in events_of(facts) if not is_recorded(instance, event)]
    events: list[AssetEvent] = [with_preview(platform.database, event) for event in news]
    if log.error_message and not log.dagster_run_id:
        events.append(_observation(log, workflow_links(facts)))
    return events


def _observation(log: "SyncLog", links: Metadata) -> dg.AssetObservation:
    stream = next(iter(log.stream_counts), STREAMS[ConnectorType(log.connector)][0].name)
    return dg.AssetObservation(
        raw_key(ConnectorType(log.connector), stream),
        partition=log.tenant_id,
        description=showing.description(f"A sync outside Dagster ended as {log.outcome}: {log.error_message}"),
        metadata={"outcome": showing.text(log.outcome), "error_code": showing.text(log.error_code or ""), **links},
    )
