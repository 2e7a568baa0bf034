"""`python -m gtmc_pipelines_tests.bench.fleet`: what a fleet costs Dagster; exits with 1 when a demand is not met.

Ticks are timed over the whole fleet (2,000 tenants with five connectors each, as rows). Syncs are
timed on a sample of tenants connected to the sandbox's Salesforce, where nothing has changed: the
same tenants as one sweep run and some of them as one run each, in processes of their own, on
PostgreSQL, Temporal and a worker. CPU is that of the Dagster processes alone.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import typer
from rich.console import Console
from rich.table import Table

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.defs.due import shards
from gtmc_pipelines.defs.enabled import enabled_types
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.settings import child_environment
from gtmc_pipelines_tests.bench.bounds import Bound
from gtmc_pipelines_tests.bench.fleet_stage import FleetStage, fleet_stage, seed_fleet

TICK_SECONDS = 5.0
TIMES_CHEAPER = 20.0
console = Console()


def bench(
    tenants: Annotated[int, typer.Option(help="Tenants of the fleet, each with five connectors.")] = 2_000,
    sample: Annotated[int, typer.Option(help="Tenants really synced by a sweep.")] = 200,
    singles: Annotated[int, typer.Option(help="Of them, how many by a run each.")] = 5,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results here.")] = None,
) -> None:
    """Time ticks over a fleet, and a sweep against one run per tenant."""
    with tempfile.TemporaryDirectory(prefix="gtmc-fleet-") as folder, fleet_stage(Path(folder)) as stage:
        os.environ.update(stage.environment)
        syncs = _syncs(stage, sample, singles)
        seed_fleet(stage.database_url, tenants)
        ticks = _ticks(tenants)
    ratio = syncs["single"]["cpu_ms"] / syncs["sweep"]["cpu_ms"]
    bounds = [
        Bound("CPU of a run per tenant, by that of a sweep", ratio, TIMES_CHEAPER, is_at_most=False, unit="times"),
        Bound("slowest tick", max(ticks.values()), TICK_SECONDS, unit="s"),
    ]
    runs = len(enabled_types()) * len(shards(["t"] * tenants))
    _print(ticks, syncs, bounds, tenants, runs)
    if json_file is not None:
        found = {"ticks": ticks, "syncs": syncs, "runs_a_tick": runs, "bounds": [bound.as_dict() for bound in bounds]}
        json_file.write_text(json.dumps(found, indent=2))
    if not all(bound.is_met for bound in bounds):
        raise typer.Exit(1)


def _syncs(stage: FleetStage, sample: int, singles: int) -> dict[str, dict[str, float]]:
    """The first, full sync of everybody is not timed; then nothing changes at the vendor."""
    names = [f"sample-{number:04}" for number in range(sample)]
    with console.status(f"connecting {sample} tenants"):
        stage.connect(names)
        with dg.DagsterInstance.get() as instance:
            instance.add_dynamic_partitions("salesforce_tenants", names)
    with console.status("first syncs"):
        _run(stage, names)
    with console.status("a sweep"):
        sweep = _run(stage, names)
    with console.status("a run each"):
        each = [_run(stage, [name]) for name in names[:singles]]
    single = {key: sum(one[key] for one in each) / len(each) for key in each[0]}
    return {"sweep": {**sweep, "syncs": sample}, "single": {**single, "syncs": singles}}


def _run(stage: FleetStage, names: list[str]) -> dict[str, float]:
    """One run in a process of its own: milliseconds a sync."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "gtmc_pipelines_tests.bench.fleet_child", *names],
        env=child_environment(stage.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        console.print(f"[red]A run over {len(names)} tenants failed[/red]\n{done.stderr[-3000:]}", highlight=False)
        raise typer.Exit(1)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_ms": 1000 * cpu / len(names), "wall_ms": 1000 * wall / len(names), "run_seconds": wall}


def _ticks(tenants: int) -> dict[str, float]:
    """Seconds of each tick over the fleet. Partitions are added as the daemon would, outside the time."""
    repository = defs.get_repository_def()
    resources = {"gtmc": GtmcResource()}
    found: dict[str, float] = {}
    with dg.DagsterInstance.get() as instance, console.status("ticks"):

        def sense(name: str) -> Any:
            context = dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources)
            return repository.get_sensor_def(name).evaluate_tick(context)

        for request in _timed(found, "tenant_partitions, all new", lambda: sense("tenant_partitions")):
            instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        names = ["tenant_partitions", "own_schedules", "stuck_connectors", "syncs_outside_dagster"]
        names += ["o365_consent"] if any(sensor.name == "o365_consent" for sensor in repository.sensor_defs) else []
        for name in names:
            _timed(found, name, lambda name=name: sense(name))  # type: ignore[misc]
        at = datetime.now(UTC)
        context = dg.build_schedule_context(
            instance=instance, repository_def=repository, scheduled_execution_time=at, resources=resources
        )
        schedule = repository.get_schedule_def("salesforce_every_4_hours")
        _timed(found, "salesforce_every_4_hours", lambda: schedule.evaluate_tick(context))
    return found


def _timed(found: dict[str, float], name: str, tick: Callable[[], Any]) -> list[Any]:
    started = time.monotonic()
    data = tick()
    found[name] = time.monotonic() - started
    return list(getattr(data, "dynamic_partitions_requests", None) or [])


def _print(
    ticks: dict[str, float], syncs: dict[str, dict[str, float]], bounds: list[Bound], tenants: int, runs: int
) -> None:
    table = Table(title=f"Ticks over {5 * tenants:,} connectors", title_justify="left", header_style="bold")
    table.add_column("tick")
    table.add_column("seconds", justify="right")
    for name, seconds in ticks.items():
        table.add_row(name, f"{seconds:.2f}")
    console.print(table)
    table = Table(title=f"Syncs without change; a tick of the fleet is {runs} runs", title_justify="left")
    for column in ("shape", "syncs timed", "CPU ms a sync", "wall ms a sync", "seconds a run"):
        table.add_column(column, justify="left" if column == "shape" else "right")
    for shape, n in syncs.items():
        table.add_row(shape, str(n["syncs"]), f"{n['cpu_ms']:,.0f}", f"{n['wall_ms']:,.0f}", f"{n['run_seconds']:.1f}")
    console.print(table)
    for bound in bounds:
        verdict = "[green]met[/green]" if bound.is_met else "[red]NOT met[/red]"
        sign = "≤" if bound.is_at_most else "≥"
        console.print(f"{bound.name}: {bound.value:.1f} {bound.unit}, {sign} {bound.limit:g} {verdict}")


if __name__ == "__main__":
    typer.run(bench)
