"""Connectors stuck on `syncing` are freed, with the cause on the books."""

# No postponed annotations here: Dagster reads those of its functions.

from datetime import UTC, datetime, timedelta

import dagster as dg

from gtmc_pipelines.defs.names import partitions_name, raw_key
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.showing import Log, description, sentence
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType

_SUSPICIOUS = timedelta(minutes=1)  # a sync that has just begun needn't be asked about


def stuck_sensor(types: tuple[ConnectorType, ...]) -> dg.SensorDefinition:
    """`stuck_connectors`: a connector whose workflow is gone goes from `syncing` to `error`, and can sync again."""

    @dg.sensor(
        name="stuck_connectors",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds connectors on syncing whose workflow was terminated, timed out or lost, closes their "
        "books as failed with that cause, and frees them. One that is waiting or slow is left alone.",
    )
    def stuck_connectors(context: dg.SensorEvaluationContext, gtmc: GtmcResource) -> dg.SensorResult | dg.SkipReason:
        from gtmc_pipelines.storage.read_models import syncing_since

        with gtmc.database() as database:
            syncing = len(syncing_since(database, datetime.now(UTC) - _SUSPICIOUS))
        if not syncing:
            return dg.SkipReason("No connector has been syncing for more than a minute.")
        with gtmc.open() as platform:
            freed = platform.client.free_stuck(platform.database)
        if not freed:
            return dg.SkipReason(f"{syncing} connectors are syncing, and their workflows are running.")
        known = {
            connector: set(context.instance.get_dynamic_partitions(partitions_name(connector))) for connector in types
        }
        observations = []
        for each in freed:
            cause = f"Workflow {each.workflow_id or '(unknown)'} ended without closing its books; freed, start a sync."
            Log(context).warning("{}, {}: {}", each.tenant_id, each.connector_type, cause)
            if each.tenant_id in known.get(each.connector_type, ()):
                key = raw_key(each.connector_type, STREAMS[each.connector_type][0].name)
                observations.append(dg.AssetObservation(key, partition=each.tenant_id, description=description(cause)))
        named = ", ".join(f"{each.tenant_id} ({each.connector_type})" for each in freed[:20])
        return dg.SensorResult(
            asset_events=observations, skip_reason=sentence(f"Freed {len(freed)} connectors: {named}.")
        )

    return stuck_connectors
