"""gtmc up, doctor: everything on this machine, and whether it is well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from gtmc_pipelines.cli.console import AsJson, console, emit_json
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.stack.doctor import Finding, examine
from gtmc_pipelines.stack.embedded import PARTS, Stack, StackOptions
from gtmc_pipelines.stack.startup import OnProgress, Progress
from gtmc_pipelines.stack.supervisor import stop_signals

_MARKS = {"ok": "[green]✓ ok[/green]", "missing": "[yellow]– missing[/yellow]", "wrong": "[red]✗ wrong[/red]"}


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.command()(up)
    app.command()(doctor)


def up(
    sandbox: Annotated[bool, typer.Option(help="Start the imitated vendors.")] = True,
    dagster: Annotated[bool, typer.Option(help="Start Dagster's webserver, daemon and code server.")] = True,
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"Start only this part, and the servers: {', '.join(PARTS)}. Repeat for several."),
    ] = None,
) -> None:
    """Start what is missing (PostgreSQL, Temporal, sandbox, worker, Dagster) and keep it running until Ctrl-C.

    Data stay under GTMC_HOME (.gtmc) and are used again next time.
    """
    options = _options(sandbox, dagster, only)
    with stop_signals() as stop, contextlib.suppress(KeyboardInterrupt), Stack(load_settings(), options) as stack:
        with progress_lines() as on_progress:
            stack.start(on_progress, stop.is_set)
        print_addresses(stack.addresses)
        for sentence in stack.remarks():
            _notice(sentence)
        console.print("\nStop it with Ctrl-C; the data stay.", highlight=False)
        stack.supervisor.watch(stop, _notice)
        console.print("Stopping…")
    console.print("Stopped.")


def doctor(as_json: AsJson = False) -> None:
    """Say for each part whether it is there, its version, and what to do when not. Exit status 1 if one is wrong."""
    from gtmc_pipelines.cli.doctor_probes import PROBES  # heavy imports that no other command should pay for

    findings = examine(load_settings(), PROBES)
    if as_json:
        emit_json([asdict(finding) for finding in findings])
    else:
        console.print(_doctor_table(findings))
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


@contextlib.contextmanager
def progress_lines() -> Iterator[OnProgress]:
    """Show which parts are starting, and a line with the seconds for each that is ready."""
    starting: list[str] = []
    with console.status("Starting…") as status:

        def show(progress: Progress) -> None:
            if progress.state == "starting":
                starting.append(progress.name)
            else:
                starting.remove(progress.name)
                console.print(f"[green]✓[/green] {progress.name} [dim]{progress.seconds:.1f} s[/dim]", highlight=False)
            status.update("Starting " + ", ".join(starting))

        yield show


def print_addresses(addresses: Mapping[str, str]) -> None:
    """The addresses of a stack, one a line, never cut."""
    width = max(len(name) for name in addresses)
    for name, address in addresses.items():
        console.print(f"[bold]{name:<{width}}[/bold]  {escape(address)}", highlight=False, soft_wrap=True)


def _options(sandbox: bool, dagster: bool, only: list[str] | None) -> StackOptions:
    unknown = sorted(set(only or []) - set(PARTS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(PARTS)}.", param_hint="--only")
    wanted = set(only) if only else set(PARTS)
    return StackOptions(
        sandbox=sandbox and "sandbox" in wanted, worker="worker" in wanted, dagster=dagster and "dagster" in wanted
    )


def _notice(sentence: str) -> None:
    console.print(f"[yellow]![/yellow] {escape(sentence)}", highlight=False)


def _doctor_table(findings: list[Finding]) -> Table:
    table = Table(header_style="bold")
    for column in ("part", "state", "found", "next step"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        found = escape(finding.found)
        if finding.part == "Sandbox" and found.startswith("ON"):
            found = f"[red]{found}[/red]"
        table.add_row(finding.part, _MARKS[finding.state], found, escape(finding.next_step))
    return table
