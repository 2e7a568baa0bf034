"""How commands talk: one console, one table style, `--json` for scripts, errors as one sentence."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gtmc_pipelines.model.errors import GtmcError

_WIDTH = shutil.get_terminal_size(fallback=(120, 40)).columns  # 120 where there is no terminal: logs, pipes

console = Console(width=_WIDTH)
errors = Console(stderr=True, width=_WIDTH)
_GAP = 2  # blanks between columns

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table, for scripts.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Tenant id, as in `gtmc tenants list`.")]


def emit(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, title: str = "", when_none: str = ""
) -> None:
    """Print rows as a table of `columns`, or all their keys as a JSON array. Empty tables say so, and `when_none`.

    A terminal too narrow for the table gets a block of lines for each row: no word is ever broken in two.
    """
    if as_json:
        emit_json(list(rows))
        return
    if not rows:
        console.print(f"[dim]{title or 'rows'}: none[/dim]", highlight=False)
        if when_none:
            console.print(f"  {escape(when_none)}", highlight=False, soft_wrap=True)
        return
    names = [column.replace("_", " ") for column in columns]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = _fitting([[name, *(line[at] for line in cells)] for at, name in enumerate(names)], console.width)
    if widths is None:
        _print_blocks(title, names, cells)
        return
    table = new_table(title)
    for column, name, width in zip(columns, names, widths, strict=True):
        numeric = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", width=width)
    for line in cells:
        table.add_row(*line)
    console.print(table)


def _fitting(columns: Sequence[Sequence[str]], whole: int) -> list[int] | None:
    """Widths under which columns of these texts fit into `whole` without breaking a word; None when none do."""
    plain = [[Text.from_markup(text).plain for text in texts] for texts in columns]
    widths = [max(cell_len(line) for text in texts for line in text.split("\n")) for texts in plain]
    least = [max((cell_len(word) for text in texts for word in text.split()), default=1) for texts in plain]
    excess = sum(widths) + _GAP * (len(widths) - 1) - whole
    while excess > 0:
        spare, at = max(
            (width - min_width, at) for at, (width, min_width) in enumerate(zip(widths, least, strict=True))
        )
        if spare == 0:
            return None
        widths[at] -= 1
        excess -= 1
    return widths


def new_table(title: str | Text = "", **options: Any) -> Table:
    """A table in the one style there is, without columns yet."""
    padding = (0, _GAP - 1, 0, 0)  # the line between columns is the last of the gap
    return Table(
        title=title or None,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=padding,
        **options,
    )


def _print_blocks(title: str, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    if title:
        console.print(title, style="italic", highlight=False)
    for line in cells:
        block = Table.grid(padding=(0, 2))
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for name, text in zip(names, line, strict=True):
            block.add_row(name, text)
        console.print(block, "", sep="\n", highlight=False)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout; times in ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def fail(error: GtmcError) -> typer.Exit:
    """Print the error's sentence and next step on stderr; raise what this returns (exit status 1)."""
    errors.print(f"[red]✗[/red] {escape(error.sentence)}", highlight=False)
    if error.next_step:
        errors.print(f"  {escape(error.next_step)}", highlight=False)
    return typer.Exit(1)


@contextmanager
def stoppable(sentence: str) -> Iterator[None]:
    """Ctrl-C within ends the command with `sentence`, which says what it leaves behind (exit status 130)."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print(f"\n{escape(sentence)}", highlight=False, soft_wrap=True)
        raise typer.Exit(130) from None


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]-[/dim]"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
