"""What the fleet's benchmark found: as tables, as JSON, and against what is demanded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.bench.bounds import Bound
from gtmc_pipelines_tests.bench.fleet_tick import Measured

TICK_SECONDS = 5.0
TIMES_CHEAPER = 20.0
CHECK_SECONDS = 30.0
"""All checks of a type: each of a tick's 20 runs asks them once, and 20 half minutes of a core are 10 of its 240."""


@dataclass
class Found:
    """Everything measured. Seconds by tick; by connector type what its checks run said."""

    fleet: int
    tenants: int
    runs_of_the_fleet: int
    ticks: dict[str, float]
    sweep: Measured = field(default_factory=Measured)
    single: Measured = field(default_factory=Measured)
    books: Mapping[str, Any] = field(default_factory=dict)
    checks: dict[ConnectorType, dict[str, Any]] = field(default_factory=dict)

    def cost(self, shape: Measured, kind: ConnectorType | None = None, *, with_checks: bool = True) -> float:
        """CPU milliseconds of Dagster a sync, of a type or of all; checks cost what they did in runs of their own."""
        kinds = [kind] if kind else list(shape.runs)
        runs = sum(len(shape.runs[each]) for each in kinds)
        syncs = runs if shape is self.single else self.tenants * len(kinds)
        checks = 0.0 if with_checks else sum(len(shape.runs[k]) * float(self.checks[k]["cpu"]) for k in kinds)
        return 1000 * (sum(shape.dagster_cpu(each) for each in kinds) - checks) / syncs

    def times(self, kind: ConnectorType | None = None, *, with_checks: bool = True) -> float:
        """How many times less CPU a sync costs in a sweep than in a run of its own."""
        shapes = (self.single, self.sweep)
        alone, swept = (self.cost(shape, kind, with_checks=with_checks) for shape in shapes)
        return alone / swept

    def bounds(self) -> list[Bound]:
        """The demands of issue 4 under "Speed", and ours on checks."""
        checks = max(float(found["seconds"]) for found in self.checks.values())
        return [
            Bound("CPU of a run per tenant, by that of a sweep", self.times(), TIMES_CHEAPER, False, "times"),
            Bound("the same of the worst type", min(map(self.times, self.sweep.runs)), TIMES_CHEAPER, False, "times"),
            Bound("slowest tick", max(self.ticks.values()), TICK_SECONDS, unit="s"),
            Bound("slowest type's checks", checks, CHECK_SECONDS, unit="s"),
        ]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        shapes = {"sweep": self.sweep, "single": self.single}
        return {
            "fleet": self.fleet,
            "tenants": self.tenants,
            "runs_of_the_fleet": self.runs_of_the_fleet,
            "ticks": self.ticks,
            "books": dict(self.books),
            "checks": {str(kind): found for kind, found in self.checks.items()},
            "shapes": {name: _shape(shape) for name, shape in shapes.items()},
            "bounds": [bound.as_dict() for bound in self.bounds()],
        }


def show(console: Console, found: Found) -> None:
    """Print all tables and verdicts."""
    connectors = f"{len(ConnectorType) * found.fleet:,} connectors"
    _table(console, f"Ticks over {connectors}", ("tick", "seconds"), [(n, f"{s:.2f}") for n, s in found.ticks.items()])
    _types(console, found)
    _services(console, found)
    _table(
        console,
        f"All checks of every asset of a type, {found.fleet:,} tenants, in a run without a sync",
        ("connector", "checks", "passed", "seconds", "CPU s", "CPU s with imports", "PostgreSQL's CPU s"),
        [_check_row(kind, row) for kind, row in found.checks.items()],
    )
    for bound in found.bounds():
        verdict = "[green]met[/green]" if bound.is_met else "[red]NOT met[/red]"
        sign = "≤" if bound.is_at_most else "≥"
        console.print(f"{bound.name}: {bound.value:.1f} {bound.unit}, {sign} {bound.limit:g} {verdict}")


def _types(console: Console, found: Found) -> None:
    """CPU of Dagster side by side, by connector type."""
    rows = []
    for kind in [*found.sweep.runs, None]:
        runs = found.sweep.runs[kind] if kind else [one for each in found.sweep.runs.values() for one in each]
        rows.append(
            (
                kind.label if kind else "all",
                f"{len(runs)}",
                f"{found.tenants * (1 if kind else len(found.sweep.runs)):,}",
                f"{mean(run.wall for run in runs):,.0f}",
                f"{max(run.memory_mb for run in runs):,.0f}",
                f"{found.cost(found.sweep, kind):,.1f}",
                f"{found.cost(found.single, kind):,.0f}",
                f"{found.times(kind):.0f} x",
                f"{found.times(kind, with_checks=False):.0f} x",
            )
        )
    title = f"A tick without change; over all {found.fleet:,} tenants it is {found.runs_of_the_fleet} runs"
    columns = (
        "connector",
        "runs",
        "syncs",
        "s a run",
        "MB",
        "CPU ms a sync",
        "in a run each",
        "times",
        "without checks",
    )
    _table(console, title, columns, rows)


def _services(console: Console, found: Found) -> None:
    """CPU of everybody per sync, and what the tick came to."""
    sweep, single = found.sweep, found.single
    names = ["Dagster's runs", *sweep.services]
    used = [
        {
            "Dagster's runs": shape.dagster_cpu(),
            **shape.services,
            "all": shape.dagster_cpu() + sum(shape.services.values()),
        }
        for shape in (sweep, single)
    ]
    rows = [
        (name, *(f"{1000 * cpu[name] / shape.syncs:,.0f}" for cpu, shape in zip(used, (sweep, single), strict=True)))
        for name in [*names, "all"]
    ]
    _table(console, "CPU milliseconds a sync", ("process", "swept", "in a run each"), rows)
    events, checks = found.books["materializations"], found.books["check_evaluations"]
    console.print(
        f"{sweep.syncs:,} syncs in {sweep.wall:,.0f} s ({sweep.syncs / sweep.wall:.1f} a second): each completed, "
        f"balanced and without change.\n"
        f"On record: {events:,} materializations, one for each tenant and asset, and {checks:,} check evaluations.",
        highlight=False,
    )


def _check_row(kind: ConnectorType, row: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (row["seconds"], row["cpu"], row["process_cpu"], row["postgres_cpu"])
    return kind.label, str(row["checks"]), str(row["passed"]), *(f"{number:.1f}" for number in numbers)


def _table(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _shape(shape: Measured) -> dict[str, Any]:
    runs = {
        str(k): [{"cpu": r.cpu, "wall": r.wall, "memory_mb": r.memory_mb} for r in rs] for k, rs in shape.runs.items()
    }
    return {"syncs": shape.syncs, "wall": shape.wall, "services_cpu": shape.services, "runs": runs}
