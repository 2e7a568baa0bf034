"""The tick: what the five schedules ask for at one moment, executed as the instance allows; and runs of one tenant."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import yaml

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.enabled import enabled_types
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.schedules import sweep_schedule
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.bench.fleet_cpu import RunCost, ServiceMeter, kill_runs, run_process
from gtmc_pipelines_tests.bench.fleet_stage import FleetStage

Told = Callable[[int], None]
"""Is told how much of the whole is done."""

_CHILD = "gtmc_pipelines_tests.bench.fleet_child"
_LOOK_SECONDS = 5.0
_ENDED = "SELECT count(*) FROM sync_logs WHERE completed_at >= %s"


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that a schedule asked for."""

    connector: ConnectorType
    request: dg.RunRequest
    tenants: int


@dataclass(slots=True)
class Measured:
    """Runs of one shape: syncs they did, what each run and each service cost (CPU seconds), seconds it took."""

    syncs: int = 0
    wall: float = 0.0
    runs: dict[ConnectorType, list[RunCost]] = field(default_factory=dict)
    run_ids: list[str] = field(default_factory=list)
    services: dict[str, float] = field(default_factory=dict)

    def add(self, connector: ConnectorType, cost: RunCost) -> None:
        """Count a run that succeeded."""
        self.runs.setdefault(connector, []).append(cost)
        self.run_ids.append(json.loads(cost.output)["run_id"])

    def dagster_cpu(self, connector: ConnectorType | None = None) -> float:
        """CPU seconds of all run processes, or of one connector type's."""
        return sum(cost.cpu for kind, costs in self.runs.items() for cost in costs if connector in (None, kind))


def planned(at: datetime) -> tuple[list[PlannedRun], dict[str, float]]:
    """What all five schedules ask for at `at`, taking turns, and the seconds that each took to say so."""
    by_type, seconds = [], {}
    with dg.DagsterInstance.get() as instance:
        for kind in enabled_types():
            schedule = sweep_schedule(kind)
            context = dg.build_schedule_context(
                instance=instance,
                repository_def=defs.get_repository_def(),
                scheduled_execution_time=at,
                resources={"gtmc": GtmcResource()},
            )
            started = time.monotonic()
            asked = schedule.evaluate_tick(context).run_requests or []
            seconds[schedule.name] = time.monotonic() - started
            by_type.append([PlannedRun(kind, one, int(one.tags["gtmc/tenants"])) for one in asked])
    return [run for run in chain.from_iterable(zip_longest(*by_type)) if run is not None], seconds


def sweep(stage: FleetStage, runs: Sequence[PlannedRun], told: Told) -> Measured:
    """Execute what was planned, as many runs at once as dagster.yaml allows. Raises RunFailed."""
    began = datetime.now(UTC)
    with _measured(stage) as found, ThreadPoolExecutor(_runs_at_once(stage)) as pool:
        futures = {pool.submit(_execute, stage, run): run for run in runs}
        try:
            while (state := wait(futures, _LOOK_SECONDS, FIRST_EXCEPTION)).not_done:
                for future in state.done:
                    future.result()
                told(_ended_since(stage, began))
            for future, run in futures.items():
                found.add(run.connector, future.result())
                found.syncs += run.tenants
        except BaseException:  # leaving the pool waits for what still runs
            pool.shutdown(wait=False, cancel_futures=True)
            kill_runs()
            raise
    return found


def singles(stage: FleetStage, tenants: Sequence[str], told: Told) -> Measured:
    """One run per tenant and connector type, one after another. Raises RunFailed."""
    with _measured(stage) as found:
        for tenant in tenants:
            for kind in enabled_types():
                request = json.dumps({"partition_key": tenant})
                found.add(kind, run_process(stage.environment, _CHILD, "run", f"{kind}_sync", request))
                found.syncs += 1
                told(found.syncs)
    return found


def checks_of(stage: FleetStage, told: Told) -> dict[ConnectorType, dict[str, Any]]:
    """By connector type, what a run of all its checks said of itself, with the CPU of its process and of PostgreSQL.

    Raises RunFailed.
    """
    found: dict[ConnectorType, dict[str, Any]] = {}
    for kind in enabled_types():
        meter = ServiceMeter({"PostgreSQL": stage.services["PostgreSQL"]})
        cost = run_process(stage.environment, _CHILD, "checks", kind.value)
        costs = {"process_cpu": cost.cpu, "postgres_cpu": meter.used()["PostgreSQL"]}
        found[kind] = {**json.loads(cost.output), **costs}
        told(len(found))
    return found


@contextmanager
def _measured(stage: FleetStage) -> Iterator[Measured]:
    """Fills in wall time and the services' CPU on exit."""
    found, meter, started = Measured(), ServiceMeter(stage.services), time.monotonic()
    yield found
    found.wall, found.services = time.monotonic() - started, meter.used()


def _runs_at_once(stage: FleetStage) -> int:
    """The instance's own limit."""
    text = (Path(stage.environment["DAGSTER_HOME"]) / "dagster.yaml").read_text()
    return int(yaml.safe_load(text)["concurrency"]["runs"]["max_concurrent_runs"])


def _ended_since(stage: FleetStage, moment: datetime) -> int:
    with psycopg.connect(stage.libpq_url) as connection:
        row = connection.execute(_ENDED, (moment,)).fetchone()
    return int(row[0]) if row else 0


def _execute(stage: FleetStage, run: PlannedRun) -> RunCost:
    wish: dict[str, Any] = {"run_config": run.request.run_config, "tags": dict(run.request.tags)}
    return run_process(stage.environment, _CHILD, "run", str(run.request.job_name), json.dumps(wish))
