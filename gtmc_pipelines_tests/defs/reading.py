"""Reading a Dagster run in a test: what it materialized, and the sentence it failed with."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg


def stored_events(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    """Materializations the run stored, whether it succeeded or not, oldest first."""
    stored = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    found = [entry.asset_materialization for entry in stored]
    return [event for event in found if event is not None]


def materialized(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> dict[str, dg.AssetMaterialization]:
    """The same by `layer/name`."""
    return {"/".join(event.asset_key.path[1:]): event for event in stored_events(result, instance)}


def sentence(result: dg.ExecuteInProcessResult) -> str:
    """What the failed step says; empty when none failed."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            return str(data.user_failure_data.description if data.user_failure_data else data.error)
    return ""


def log_lines(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> list[str]:
    """What the run's own code said, oldest first."""
    return [entry.user_message for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event]


def number(event: dg.AssetMaterialization, name: str) -> int:
    """A number in an event's metadata."""
    value = event.metadata[name].value
    assert isinstance(value, int)
    return value


def apply(
    instance: dg.DagsterInstance,
    requests: Iterable[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest],
) -> None:
    """Changes of partition sets, made as the daemon makes them."""
    for request in requests:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        else:
            for key in request.partition_keys:
                instance.delete_dynamic_partition(request.partitions_def_name, key)
