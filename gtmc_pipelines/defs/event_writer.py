"""Writing many events of a run at once, and marking a partition of a sweep as failed.

The batch and the planned event are not part of Dagster's public API. This is the one place that uses
them; should a version of Dagster not have them, events are written one by one and a failed tenant is
only named in the run's failure.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence

import dagster as dg

try:
    from dagster._core.events import (
        AssetMaterializationPlannedData,
        DagsterEventBatchMetadata,
        StepMaterializationData,
    )
except ImportError:  # another version of Dagster
    IS_BATCHING = False
else:
    IS_BATCHING = True


def write_events(context: dg.AssetExecutionContext, step: str, events: Iterable[dg.AssetMaterialization]) -> None:
    """Store materializations of this run and step; when it returns they are stored.

    One batch an asset: Dagster brings an asset's own record up to date with the last event of a
    batch only. DAGSTER_EVENT_BATCH_SIZE says how many rows one INSERT has; without it, one.
    """
    by_asset: dict[dg.AssetKey, list[dg.AssetMaterialization]] = defaultdict(list)
    for event in events:
        by_asset[event.asset_key].append(event)
    for batch in by_asset.values():
        if IS_BATCHING and len(batch) > 1:
            _write_batch(context, step, batch)
        else:
            for event in batch:
                context.log_event(event)


def plan_failed(context: dg.AssetExecutionContext, step: str, keys: Iterable[dg.AssetKey], tenant: str) -> None:
    """Show `tenant` as failed on these assets once this run has failed: planned in it and never materialized."""
    if not IS_BATCHING:
        return
    for key in keys:
        planned = dg.DagsterEvent.build_asset_materialization_planned_event(
            context.run.job_name, step, AssetMaterializationPlannedData(key, partition=tenant)
        )
        context.instance.report_dagster_event(planned, context.run.run_id)


def _write_batch(context: dg.AssetExecutionContext, step: str, events: Sequence[dg.AssetMaterialization]) -> None:
    batch = uuid.uuid4().hex
    for number, event in enumerate(events, 1):
        context.instance.report_dagster_event(
            dg.DagsterEvent(
                event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                job_name=context.run.job_name,
                step_key=step,
                event_specific_data=StepMaterializationData(event, []),
                message=f"Materialized value {event.asset_key.to_user_string()} of {event.partition}.",
            ),
            context.run.run_id,
            batch_metadata=DagsterEventBatchMetadata(batch, number == len(events)),
        )
