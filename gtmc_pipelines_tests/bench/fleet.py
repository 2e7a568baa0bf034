"""`python -m gtmc_pipelines_tests.bench.fleet`: what a fleet costs Dagster; exits with 1 when a demand is not met.

2,000 tenants, each connected to all five imitated vendors over HTTP, in the state that follows a first full sync
(`fleet_clone`). Ticks of schedules and sensors and the asset checks are timed over all of them. `--tenants` of them are
due at the tick: the runs that the five schedules ask for are executed, each in a process of its own, as many at once as
the instance allows, against real workers, Temporal and PostgreSQL. Nothing has changed at the vendors. Every sync and
every materialization is then looked for in the books (`fleet_books`), and some tenants are synced by a run each.

The whole fleet due at once is `--tenants 2000`: 10,000 syncs, about 45 minutes of CPU. Limits that one shared
organization would run into are raised at the sandbox (`fleet_vendors`). Dagster's storage starts empty. Checks of
freshness may name the due tenants: at some hours of the day they have missed a tick.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.bench import fleet_sensors
from gtmc_pipelines_tests.bench.fleet_books import NotOnRecord, audited
from gtmc_pipelines_tests.bench.fleet_clone import clone, made_template
from gtmc_pipelines_tests.bench.fleet_cpu import RunFailed
from gtmc_pipelines_tests.bench.fleet_report import Found, show
from gtmc_pipelines_tests.bench.fleet_stage import FleetStage, fleet_stage
from gtmc_pipelines_tests.bench.fleet_tick import checks_of, planned, singles, sweep

DUE_AGO, FRESH_AGO = timedelta(hours=4), timedelta(minutes=10)
console = Console()


def bench(
    tenants: Annotated[int, typer.Option(min=1, help="Tenants due at the tick; 2000 is the whole fleet.")] = 100,
    fleet: Annotated[int, typer.Option(min=1, help="Tenants there are, each with five connectors.")] = 2_000,
    alone: Annotated[int, typer.Option("--singles", min=1, help="Tenants synced by a run each.")] = 2,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results here.")] = None,
) -> None:
    """Time ticks and checks over a fleet, and one tick's syncs against one run per tenant."""
    fleet = max(fleet, tenants)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # nothing that was started is left behind
    try:
        with tempfile.TemporaryDirectory(prefix="gtmc-fleet-") as folder, fleet_stage(Path(folder), workers) as stage:
            os.environ.update(stage.environment)
            found = _measure(stage, [f"fleet-{number:05}" for number in range(fleet)], tenants, min(alone, tenants))
    except (RunFailed, NotOnRecord) as failure:
        console.print(f"[red]{type(failure).__name__}[/red]", highlight=False)
        console.print(str(failure), markup=False, highlight=False)
        raise typer.Exit(1) from None
    show(console, found)
    if json_file is not None:
        json_file.write_text(json.dumps(found.as_dict(), indent=2))
    if not all(bound.is_met for bound in found.bounds()):
        raise typer.Exit(1)


def _measure(stage: FleetStage, names: list[str], tenants: int, alone: int) -> Found:
    with _step("a template tenant, and its copies"), made_template(stage):
        clone(stage, names, tenants, due_ago=DUE_AGO, fresh_ago=FRESH_AGO)
    with _step("ticks"):
        ticks = fleet_sensors.before_the_tick()
        whole, seconds = planned(datetime.now(UTC) + DUE_AGO)  # by then everybody is due
        found = Found(len(names), tenants, len(whole), ticks | seconds)
    with _step("checks", len(ConnectorType)) as told:
        found.checks = checks_of(stage, told)
    due, _ = planned(datetime.now(UTC))
    with _step(f"{len(due)} runs", tenants * len(ConnectorType)) as told:
        found.sweep = sweep(stage, due, told)
    with _step("the books"):
        found.books = audited(stage, found.sweep.run_ids, tenants)
        seen = fleet_sensors.after_the_tick()
        found.ticks[f"syncs_outside_dagster, slowest of {len(seen)} after the tick"] = max(seen)
    with _step("a run each", alone * len(ConnectorType)) as told:
        found.single = singles(stage, names[:alone], told)
    return found


@contextmanager
def _step(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows what goes on; gives a function that is told how much of it is done."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*(columns if total else (columns[0], columns[1], columns[4])), console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)
        progress.update(task, total=total or 1, completed=total or 1)


if __name__ == "__main__":
    typer.run(bench)
