"""`python -m gtmc_pipelines_tests.bench`: measures, prints, and exits with 1 when a demand is not met."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines_tests.bench.bounds import Bound, judge, middle
from gtmc_pipelines_tests.bench.pages import make_pages

RUNS = ("reference", "write_path", "rest", "bulk")
console = Console()


def bench(
    records: Annotated[int, typer.Option(help="Contacts to load.")] = 200_000,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; medians are judged.")] = 3,
    only: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(RUNS)}. Repeat it.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results here.")] = None,
) -> None:
    """Load contacts by the recommended design and by ours, twice each, and compare CPU per record."""
    names = tuple(only) if only else RUNS
    if unknown := set(names) - set(RUNS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose from {', '.join(RUNS)}")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="gtmc-bench-") as folder, _services(Path(folder), records, names) as url:
        for name, found in _measure(names, rounds, url, Path(folder)):
            results[name].append(found)
    bounds = judge(results)
    _print(results, bounds)
    if json_file is not None:
        judged = [bound.as_dict() for bound in bounds]
        json_file.write_text(json.dumps({"records": records, "rounds": results, "bounds": judged}, indent=2))
    if not all(bound.is_met for bound in bounds):
        raise typer.Exit(1)


def _measure(names: tuple[str, ...], rounds: int, url: str, home: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """One run of each a round, taking turns, so that a busy minute of the machine hits them alike."""
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=rounds * len(names))
        for number in range(rounds):
            for name in names:
                progress.update(task, description=f"round {number + 1}, {name}")
                yield name, _run(name, url, home)
                progress.advance(task)


@contextmanager
def _services(home: Path, records: int, names: tuple[str, ...]) -> Iterator[str]:
    """Page files, a migrated PostgreSQL and, if a run wants it, a sandbox; gives libpq's URL as superuser."""
    home.chmod(0o755)
    (home / "pages").mkdir()
    if {"reference", "write_path"} & set(names):
        with console.status("making pages"):
            make_pages(home / "pages", records)
    server = EmbeddedPostgres(home / "postgres", port=free_port())
    server.start()
    sandbox = _sandbox(home, records) if {"rest", "bulk"} & set(names) else None
    try:
        server.ensure_database("bench")
        migrate(server.url("bench"))
        yield server.url("bench").replace("+psycopg", "")
    finally:
        if sandbox is not None:
            sandbox.stop()
        server.stop()


def _sandbox(home: Path, records: int) -> ChildProcess:
    announcement = home / "sandbox.json"
    child = ChildProcess.spawn(
        ChildSpec(
            name="the sandbox",
            command=[
                *(sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox", "--json"),
                *("--vendor", "salesforce", "--size", f"contacts={records}"),
            ],
            log_file=home / "sandbox.log",
            output_file=announcement,
            environment=child_environment({"GTMC_HOME": str(home / "sandbox")}),
        )
    )
    child.wait_until(lambda: announcement.read_text().endswith("\n"), within_seconds=60.0)
    return child


def _run(name: str, url: str, home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "gtmc_pipelines_tests.bench.child", name, url, str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        console.print(f"[red]{name} failed[/red]\n{done.stderr[-4000:]}", markup=True, highlight=False)
        raise typer.Exit(1)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _print(results: dict[str, list[dict[str, Any]]], bounds: list[Bound]) -> None:
    numbers = Table(title="Medians: CPU in microseconds a record", title_justify="left", header_style="bold")
    for column in ("run", "load", "records/s", "client", "PostgreSQL", "total", "memory MB"):
        numbers.add_column(column, justify="left" if column in {"run", "load"} else "right")
    for run in results:
        for load in ("first", "again"):
            keys = ("per_second", "client_us", "postgres_us", "total_us", "rss_mb")
            values = [middle(results, run, load, key) for key in keys]
            numbers.add_row(run, load, f"{values[0]:,.0f}", *(f"{value:.1f}" for value in values[1:]))
    console.print(numbers)
    console.print("Autovacuum was off in all runs: its turn hits some and not others.", highlight=False)
    demands = Table(title="Demands", title_justify="left", header_style="bold")
    for column in ("demand", "measured", "bound", ""):
        demands.add_column(column, justify="left" if column in {"demand", ""} else "right")
    for bound in bounds:
        sign, verdict = "≤" if bound.is_at_most else "≥", "[green]met[/green]" if bound.is_met else "[red]NOT met[/red]"
        demands.add_row(bound.name, f"{bound.value:.2f} {bound.unit}", f"{sign} {bound.limit:g}", verdict)
    console.print(demands)


if __name__ == "__main__":
    typer.run(bench)
