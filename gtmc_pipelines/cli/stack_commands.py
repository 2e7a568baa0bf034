"""gtmc up, doctor: everything on this machine, and whether it is well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from gtmc_pipelines.cli.console import AsJson, Sheet, emit_json, line, new_table, say, say_unbroken, show, working
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.stack.doctor import Finding, examine
from gtmc_pipelines.stack.embedded import PARTS, Stack, StackOptions
from gtmc_pipelines.stack.startup import OnProgress, Progress
from gtmc_pipelines.stack.supervisor import stop_signals

_MARKS = {
    "ok": line("[green]✓ ok[/green]"),
    "missing": line("[yellow]– missing[/yellow]"),
    "wrong": line("[red]✗ wrong[/red]"),
}


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
        say("\nStop it with Ctrl-C; the data stay.")
        stack.supervisor.watch(stop, _notice)
        say("Stopping…")
    say("Stopped.")


def doctor(as_json: AsJson = False) -> None:
    """Say for each part whether it is there, its version, and what to do when not. Exit status 1 if one is wrong."""
    from gtmc_pipelines.cli.doctor_probes import PROBES  # heavy imports that no other command should pay for

    findings = examine(load_settings(), PROBES)
    if as_json:
        emit_json([asdict(finding) for finding in findings])
    else:
        show(_doctor_table(findings))
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)


@contextlib.contextmanager
def progress_lines() -> Iterator[OnProgress]:
    """Show which parts are starting, and a line with the seconds for each that is ready."""
    starting: list[str] = []
    with working("Starting…", on_stderr=False) as tell:

        def show(progress: Progress) -> None:
            if progress.state == "starting":
                starting.append(progress.name)
            else:
                starting.remove(progress.name)
                say("[green]✓[/green] {} [dim]{:.1f} s[/dim]", progress.name, progress.seconds)
            tell("Starting {}", ", ".join(starting))

        yield show


def print_addresses(addresses: Mapping[str, str]) -> None:
    """The addresses of a stack, one a line, never cut."""
    width = max(len(name) for name in addresses)
    for name, address in addresses.items():
        say_unbroken("[bold]{}[/bold]  {}", name.ljust(width), address)


def _options(sandbox: bool, dagster: bool, only: list[str] | None) -> StackOptions:
    unknown = sorted(set(only or []) - set(PARTS))
    if unknown:
        raise typer.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(PARTS)}.", param_hint="--only")
    wanted = set(only) if only else set(PARTS)
    return StackOptions(
        sandbox=sandbox and "sandbox" in wanted, worker="worker" in wanted, dagster=dagster and "dagster" in wanted
    )


def _notice(sentence: str) -> None:
    say("[yellow]![/yellow] {}", sentence)


def _doctor_table(findings: list[Finding]) -> Sheet:
    table = new_table()
    for column in ("part", "state", "found", "next step"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        is_alarming = finding.part == "Sandbox" and finding.found.startswith("ON")
        found = line("[red]{}[/red]" if is_alarming else "{}", finding.found)
        table.add_row(finding.part, _MARKS[finding.state], found, finding.next_step)
    return table
