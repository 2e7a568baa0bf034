"""How commands talk: one console, one table style, `--json` for scripts, errors as one sentence.

The only place that prints. What comes from outside (a vendor, a tenant, a mapping, a file) is text here, never markup:
it stands in the `{}` of a template of ours or in a table's cell, with its control characters written out. JSON is
data: it is printed as it is, and `json` writes controls out by itself.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from string import Formatter
from typing import Annotated, Any, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Span, Text

from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.model.shown_text import shown

_WIDTH = shutil.get_terminal_size(fallback=(120, 40)).columns  # 120 where there is no terminal: logs, pipes

console = Console(width=_WIDTH)
errors = Console(stderr=True, width=_WIDTH)
_GAP = 2  # blanks between columns
_HOLE = "\ue000"  # of the private use area: where a value goes, while its template is still markup

Line = Text
"""What `line` makes."""

Turn = TypeVar("Turn")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table, for scripts.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Tenant id, as in `gtmc tenants list`.")]


def line(template: str, *values: object, style: str = "") -> Text:
    """Our own words, which may hold Rich's markup, with values from outside in their `{}`: text whatever they are."""
    fields = list(Formatter().parse(template))
    forms = [spec for _, name, spec, _ in fields if name is not None]
    assert len(forms) == len(values), template
    marked = "".join(words + (_HOLE if name is not None else "") for words, name, _, _ in fields)
    pieces = Text.from_markup(marked, emoji=False, style=style).split(_HOLE, include_separator=True)
    given = iter([shown(format(value, spec or "")) for value, spec in zip(values, forms, strict=True)])
    filled = Text(style=style)
    for piece in pieces:
        has_hole = piece.plain.endswith(_HOLE)
        filled.append_text(piece[:-1] if has_hole else piece)
        if has_hole:
            filled.append_text(_like(next(given), piece[len(piece) - 1]))
    return filled


def _like(text: str, other: Text) -> Text:
    """The text in the colours of another."""
    return Text(text, spans=[Span(0, len(text), span.style) for span in other.spans])


def say(template: str, *values: object, style: str = "") -> None:
    """Print a line on stdout, broken between words where the terminal ends."""
    console.print(line(template, *values, style=style))


def say_unbroken(template: str, *values: object) -> None:
    """The same for commands and addresses, which people copy: never broken."""
    console.print(line(template, *values), soft_wrap=True)


def warn(template: str, *values: object) -> None:
    """Print a line on stderr, never broken."""
    errors.print(line(template, *values), soft_wrap=True)


def show(table: RenderableType) -> None:
    """Print what `new_table` or `line` has made."""
    console.print(table)


def is_watched() -> bool:
    """Whether stdout is a terminal, where something may be drawn again and again."""
    return console.is_terminal


@contextmanager
def redrawn() -> Iterator[Callable[[RenderableType], None]]:
    """What the function it gives was called with last is on the terminal, and gone in the end."""
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield live.update


@contextmanager
def working(doing: str, *, on_stderr: bool = True) -> Iterator[Callable[..., None]]:
    """A turning wheel beside what goes on; the function it gives says what that is now, as `line` takes it."""
    with (errors if on_stderr else console).status(line("{}", doing)) as status:
        yield lambda template, *values: status.update(line(template, *values))


@contextmanager
def counted(turns: Iterable[Turn], total: int, doing: str, *, is_quiet: bool) -> Iterator[Iterable[Turn]]:
    """A bar on stderr that grows with each turn taken."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("tenants"))
    with Progress(*columns, console=errors, transient=True, disable=is_quiet) as progress:
        yield progress.track(turns, total=total, description=shown(doing))


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
        say("[dim]{}: none[/dim]", title or "rows")
        if when_none:
            say_unbroken("  {}", when_none)
        return
    names = [column.replace("_", " ") for column in columns]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = _fitting([[name, *(row[at].plain for row in cells)] for at, name in enumerate(names)], console.width)
    if widths is None:
        _print_blocks(title, names, cells)
        return
    table = new_table(title)
    for column, name, width in zip(columns, names, widths, strict=True):
        numeric = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", width=width)
    for row_cells in cells:
        table.add_row(*row_cells)
    show(table)


def _fitting(columns: Sequence[Sequence[str]], whole: int) -> list[int] | None:
    """Widths under which columns of these texts fit into `whole` without breaking a word; None when none do."""
    widths = [max(cell_len(text) for text in texts) for texts in columns]
    least = [max((cell_len(word) for text in texts for word in text.split()), default=1) for texts in columns]
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


class Sheet(Table):
    """A table whose texts are text: a `str` in a cell or a heading is shown as it is, never read as markup."""

    def add_row(self, *cells: object, **options: Any) -> None:
        """A row; what `line` has made keeps its colours."""
        super().add_row(*(_text(cell) for cell in cells), **options)

    def add_column(self, header: object = "", footer: object = "", **options: Any) -> None:
        """A column with its heading."""
        super().add_column(_text(header), _text(footer), **options)


def _text(value: object) -> Text:
    return value if isinstance(value, Text) else Text(shown(value))


def new_table(title: str | Text = "", **options: Any) -> Sheet:
    """A table in the one style there is, without columns yet."""
    padding = (0, _GAP - 1, 0, 0)  # the line between columns is the last of the gap
    return Sheet(
        title=None if not title else line("{}", title, style="italic") if isinstance(title, str) else title,
        title_justify="left",
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=padding,
        **options,
    )


def _print_blocks(title: str, names: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
    if title:
        say("{}", title, style="italic")
    for row in cells:
        block = Sheet.grid(padding=(0, 2))
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for name, text in zip(names, row, strict=True):
            block.add_row(name, text)
        console.print(block, "", sep="\n")


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout; times in ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def fail(error: GtmcError) -> typer.Exit:
    """Print the error's sentence, its faults and its next step on stderr; raise what this returns (exit status 1)."""
    listing = [f"\n  {fault}" for fault in error.faults]
    errors.print(line("[red]✗[/red] {}", error.sentence.removesuffix("".join(listing))))
    for fault in error.faults:
        errors.print(line("  {}", fault))
    if error.next_step:
        errors.print(line("  {}", error.next_step))
    return typer.Exit(1)


@contextmanager
def stoppable(sentence: str) -> Iterator[None]:
    """Ctrl-C within ends the command with `sentence`, which says what it leaves behind (exit status 130)."""
    try:
        yield
    except KeyboardInterrupt:
        warn("\n{}", sentence)
        raise typer.Exit(130) from None


def _cell(value: Any) -> Text:
    if value is None:
        return line("[dim]-[/dim]")
    if isinstance(value, datetime):
        return _text(value.strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(value, bool):
        return _text("yes" if value else "no")
    return _text(f"{value:,}" if isinstance(value, int) else value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
