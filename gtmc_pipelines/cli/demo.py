"""gtmc demo: the whole story on this machine, checked against the truth."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import perf_counter
from types import FrameType
from typing import Annotated

import typer

from gtmc_pipelines.cli.console import console
from gtmc_pipelines.model.errors import Broken


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.command()(demo)


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running until Ctrl-C, to look around.")] = False,
) -> None:
    """Start everything, sync three tenants through Dagster, change records at the vendors, sync again, check the truth.

    Ends with one table, also written to GTMC_HOME/demo.json. Exit status 1 when a canonical table isn't what the
    vendors say. Run it again: the data of the first time are used, and nothing is written twice.
    """
    from gtmc_pipelines.cli.stack_commands import print_addresses, progress_lines
    from gtmc_pipelines.settings import load_settings
    from gtmc_pipelines.stack.embedded import Stack
    from gtmc_pipelines.stack.supervisor import stop_signals

    began = perf_counter()
    try:
        with stop_signals() as stop, Stack(load_settings()) as stack:
            with progress_lines() as on_progress:
                stack.start(on_progress, stop.is_set)
            with _interruptible():
                is_true = _story(began)
            print_addresses(stack.addresses)
            if keep:
                console.print("\nStop it with Ctrl-C; the data stay.", highlight=False)
                stack.supervisor.watch(stop, lambda notice: console.print(f"[yellow]![/yellow] {notice}"))
    except KeyboardInterrupt:
        console.print("Stopped. Run `gtmc demo` again: it goes on with what is there.")
        raise typer.Exit(130) from None
    if not is_true:
        raise Broken(
            "demo_untrue",
            "Some canonical rows are not what the vendors say.",
            next_step="The differences are listed in demo.json.",
        )


def _story(began: float) -> bool:
    """Everything between the stack's start and its stop; gives whether the tables are true."""
    from gtmc_pipelines.cli import demo_changes, demo_report, demo_setup, demo_syncs
    from gtmc_pipelines.cli.truth.compare import EXPECTATIONS, Verdict, compare, sandbox_records
    from gtmc_pipelines.defs.launch import RunningDagster
    from gtmc_pipelines.model.phases import SyncMode
    from gtmc_pipelines.settings import load_settings, running_stack
    from gtmc_pipelines.storage.engine import open_database

    since = datetime.now(UTC)
    settings = load_settings()
    sandbox = (running_stack(settings.home) or {})["addresses"]
    database = open_database(settings.required("database_url"))
    dagster = RunningDagster(settings.required("dagster_url"))

    def vendor_url(subject: demo_setup.Subject) -> str:
        return str(sandbox[f"Sandbox {subject.connector}"])

    def check() -> dict[demo_setup.Subject, Verdict]:
        return {
            subject: compare(
                database,
                subject.tenant_id,
                subject.connector,
                sandbox_records(vendor_url(subject), subject.tenant_id, settings.ca_file),
            )
            for subject in subjects
        }

    with _step("Tenants and connectors"):
        vendors = json.loads((settings.home / "sandbox.json").read_text())["vendors"]
        subjects = demo_setup.set_up(database, list(EXPECTATIONS), vendors, settings.ca_file)
    with _step("Full sync of everything, through Dagster"):
        demo_syncs.sync_through_dagster(dagster, database, subjects, SyncMode.FULL)
    with _step("Canonical tables compared with the vendors"):
        first = check()
    with _step("Records changed at the vendors"):
        for subject in subjects:
            demo_changes.change(vendor_url(subject), subject.tenant_id, subject.connector, settings.ca_file)
    with _step("Incremental sync, through Dagster"):
        incremental = demo_syncs.sync_through_dagster(dagster, database, subjects, SyncMode.INCREMENTAL)
    with _step("Canonical tables compared with the vendors again"):
        verdicts = check()
    for subject, verdict in verdicts.items():
        verdict.differences[:0] = [f"after the full sync: {text}" for text in first[subject].differences]
    objects = demo_report.reports(database, since, incremental, verdicts)
    demo_report.write(settings.home / "demo.json", objects)
    console.print(demo_report.table_of(objects))
    console.print(f"{perf_counter() - began:.0f} s in all; details in {settings.home / 'demo.json'}", highlight=False)
    database.close()
    return all(verdict.is_true for verdict in verdicts.values())


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM interrupt what runs, so that the stack is stopped at once and cleanly."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _step(title: str) -> Iterator[None]:
    began = perf_counter()
    console.print(f"[bold]{title}[/bold]")
    yield
    console.print(f"[green]✓[/green] {title} [dim]{perf_counter() - began:.1f} s[/dim]", highlight=False)
