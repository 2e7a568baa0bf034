"""The gate of Office 365: the agreement adds a partition and starts its first sync, its withdrawal ends both."""

# No postponed annotations here: Dagster reads those of its functions.

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg

from gtmc_pipelines.defs.jobs import full_sync_job
from gtmc_pipelines.defs.names import PARTITION_TAG, SYNC_TYPE_TAG
from gtmc_pipelines.defs.partitions import partition_changes
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.showing import sentence
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.phases import SyncMode

if TYPE_CHECKING:
    from gtmc_pipelines.storage.read_models import ConsentStanding

_O365 = ConnectorType.O365
_RUNS_A_TICK = 25
_NAMED = 20


def consent_sensor() -> dg.SensorDefinition:
    """`o365_consent`: partitions of Office 365 follow connector and agreement together."""

    @dg.sensor(
        name="o365_consent",
        jobs=[full_sync_job(_O365)],
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A tenant becomes a partition when its Office 365 is connected and its data-processing agreement "
        "accepted (gtmc o365 accept-dpa), and is synced in full at once. When the agreement is withdrawn, a running "
        "sync is cancelled and the partition goes. Tenants that wait for their agreement are named in the tick.",
    )
    def o365_consent(context: dg.SensorEvaluationContext, gtmc: GtmcResource) -> dg.SensorResult | dg.SkipReason:
        standings = gtmc.consent_standings()
        accepted = [each for each in standings if each.accepted_at is not None]
        blocked = [each for each in standings if each.accepted_at is None]
        cancelled = _cancel(gtmc, [each for each in blocked if each.status is ConnectorStatus.SYNCING])
        changes = partition_changes(context.instance, {_O365: [each.tenant_id for each in accepted]})
        asked: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
        first = [each for each in accepted if _is_first(each)]
        asked = {each.tenant_id: asked[each.tenant_id] for each in first if each.tenant_id in asked}
        news = [each for each in first if asked.get(each.tenant_id) != str(each.accepted_at)][:_RUNS_A_TICK]
        asked |= {each.tenant_id: str(each.accepted_at) for each in news}
        return dg.SensorResult(
            run_requests=[_first_sync(each) for each in news],
            dynamic_partitions_requests=[ask for change in changes for ask in change.requests()],
            cursor=json.dumps(asked),
            skip_reason=None if news else sentence(" ".join([*_said_of(cancelled), _waiting(blocked)])),
        )

    return o365_consent


def _is_first(standing: "ConsentStanding") -> bool:
    """True when nothing was synced since the agreement: the schedule may have been faster."""
    assert standing.accepted_at is not None
    is_idle = standing.status is not ConnectorStatus.SYNCING
    return is_idle and (standing.last_started_at is None or standing.last_started_at < standing.accepted_at)


def _first_sync(standing: "ConsentStanding") -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{standing.tenant_id}/{standing.accepted_at}",
        job_name=f"{_O365}_full_sync",
        tags={PARTITION_TAG: standing.tenant_id, SYNC_TYPE_TAG: SyncMode.FULL.value},
    )


def _cancel(gtmc: GtmcResource, standings: "Sequence[ConsentStanding]") -> list[str]:
    """Cancel the running syncs of tenants that withdrew; gives those tenants."""
    running = {each.tenant_id: each.owner_workflow for each in standings if each.owner_workflow}
    if running:
        with gtmc.open() as platform:
            for name in running.values():
                platform.client.cancel(name, actor="dagster:o365_consent")
    return sorted(running)


def _said_of(cancelled: Sequence[str]) -> list[str]:
    return (
        [f"The agreement was withdrawn: running syncs of {', '.join(cancelled)} were cancelled."] if cancelled else []
    )


def _waiting(blocked: "Sequence[ConsentStanding]") -> str:
    if not blocked:
        return "Every connected tenant has accepted the agreement."
    names = ", ".join(each.tenant_id for each in blocked[:_NAMED]) + (", …" if len(blocked) > _NAMED else "")
    return (
        f"Connected, but without an accepted data-processing agreement and not synced: {len(blocked)} "
        f"({names}). Accept it: gtmc o365 accept-dpa --tenant <tenant>"
    )
