"""gtmc demo: the whole story on this machine, checked against the truth."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from types import FrameType
from typing import Annotated

import typer

from gtmc_pipelines.cli.console import say, show
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
                say("\nStop it with Ctrl-C; the data stay.")
                stack.supervisor.watch(stop, lambda notice: say("[yellow]![/yellow] {}", notice))
    except KeyboardInterrupt:
        say("Stopped. Run `gtmc demo` again: it goes on with what is there.")
        raise typer.Exit(130) from None
    if not is_true:
        raise Broken(
            "demo_untrue",
            "Some canonical rows are not what the vendors say.",
            next_step="The differences are listed in demo.json.",
        )


def _story(began: float) -> bool:
    """Everything between the stack's start and its stop; gives whether the tables are true."""
    from gtmc_pipelines.cli import demo_report
    from gtmc_pipelines.cli.demo_story import Story
    from gtmc_pipelines.settings import load_settings

    settings = load_settings()
    story = Story(settings)
    objects = story.tell()
    story.close()
    result = settings.home / "demo.json"
    demo_report.write(result, objects)
    show(demo_report.table_of(objects))
    say("{:.0f} s in all; details in {}", perf_counter() - began, result)
    return all(entry["truth"] for entry in objects)


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
