"""Sensor ticks over the whole fleet, each evaluated as the daemon does, and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.platform import GtmcResource

_OBSERVER = "syncs_outside_dagster"
_STILL = ("tenant_partitions", "own_schedules", "stuck_connectors", "o365_consent", _OBSERVER)
_MOST_TICKS = 500


def before_the_tick() -> dict[str, float]:
    """Seconds of each sensor's tick while nothing runs; partitions are added as the daemon would, outside the time."""
    found = {}
    with dg.DagsterInstance.get() as instance:
        for name in ("tenant_partitions", "o365_consent"):
            found[f"{name}, all new"], data = _sense(instance, name)
            assert not data.run_requests, "copies have been synced before"
            for request in data.dynamic_partitions_requests or ():
                instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return found | {name: _sense(instance, name)[0] for name in _STILL}


def after_the_tick() -> list[float]:
    """Seconds of each tick that `syncs_outside_dagster` needs to have seen all that has ended: ours, so no event."""
    found = []
    with dg.DagsterInstance.get() as instance:
        for seconds in _until_seen(instance):
            found.append(seconds)
    return found


def _until_seen(instance: dg.DagsterInstance) -> Iterator[float]:
    cursor = None
    for _ in range(_MOST_TICKS):
        seconds, data = _sense(instance, _OBSERVER, cursor)
        yield seconds
        if data.cursor == cursor:
            return
        cursor = data.cursor
    raise AssertionError(f"{_OBSERVER} has not seen everything after {_MOST_TICKS} ticks")


def _sense(instance: dg.DagsterInstance, name: str, cursor: str | None = None) -> tuple[float, Any]:
    repository = defs.get_repository_def()
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=repository, resources={"gtmc": GtmcResource()}
    )
    started = time.monotonic()
    data = repository.get_sensor_def(name).evaluate_tick(context)
    return time.monotonic() - started, data
