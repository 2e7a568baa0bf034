"""`python -m gtmc_pipelines_tests.attack`: tries every kind of attack, and exits with 1 when one came through."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gtmc_pipelines_tests.attack.kinds import KINDS
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.attack.tally import Tally, tried

os.environ["GTMC_DEVELOPMENT"] = "1"  # the vendors attacked from are imitated ones
console = Console(highlight=False)


def attack(
    seed: Annotated[int | None, typer.Option(help="Of all dice; a fresh one unless given.")] = None,
    kinds: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(KINDS)}. Repeat it.")] = None,
    short: Annotated[
        bool, typer.Option("--short", help="A few attempts of each kind, as the test suite does.")
    ] = False,
    number: Annotated[int | None, typer.Option(help="This attempt of the kind alone: repeats one.")] = None,
) -> None:
    """Try every kind of attack as often as it says; each attempt can be repeated by seed, kind and number."""
    chosen = kinds or list(KINDS)
    if unknown := set(chosen) - set(KINDS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose from {', '.join(KINDS)}")
    seed = secrets.randbelow(10**9) if seed is None else seed
    tallies = []
    with (
        tempfile.TemporaryDirectory(prefix="gtmc-attack-") as folder,
        Stage(Path(folder)) as stage,
        _progress() as bars,
    ):
        for name in chosen:
            kind = KINDS[name]
            numbers = range(kind.few if short else kind.attempts) if number is None else range(number, number + 1)
            task = bars.add_task(name, total=len(numbers))
            tallies.append(tried(kind, stage, seed, numbers, lambda task=task: bars.advance(task)))
    _print(tallies, seed)
    if any(tally.through for tally in tallies):
        raise typer.Exit(1)


def _progress() -> Progress:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def _print(tallies: list[Tally], seed: int) -> None:
    table = Table(title=f"Attacks with seed {seed}", title_justify="left", header_style="bold")
    for column in ("kind", "a success would be", "attacks", "forms", "seconds", "through"):
        table.add_column(column, justify="left" if column in {"kind", "a success would be"} else "right")
    for tally in tallies:
        kind, through = tally.kind, f"[red]{len(tally.through)}[/red]" if tally.through else "0"
        numbers = (f"{tally.attacks:,}", f"{len(tally.forms)}", f"{tally.seconds:.1f}", through)
        table.add_row(kind.name, kind.success, *numbers)
    console.print(table)
    for tally in tallies:
        for line in tally.told(seed):
            console.print(line, markup=False, soft_wrap=True)
    attacks, through = sum(tally.attacks for tally in tallies), sum(len(tally.through) for tally in tallies)
    console.print(f"{attacks} attacks: {through} through", markup=False)


if __name__ == "__main__":
    typer.run(attack)
