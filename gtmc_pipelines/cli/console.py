"""How commands talk: one console, one table style, `--json` for scripts, errors as one sentence."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gtmc_pipelines.model.errors import GtmcError

_WIDTH = shutil.get_terminal_size(fallback=(120, 40)).columns  # 120 where there is no terminal: logs, pipes

console = Console(width=_WIDTH)
errors = Console(stderr=True, width=_WIDTH)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table, for scripts.")]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Tenant id, as in `gtmc tenants list`.")]


def emit(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Print rows as a table of `columns`, or all their keys as a JSON array. Empty tables say so."""
    if as_json:
        emit_json(list(rows))
        return
    if not rows:
        console.print(f"[dim]{title or 'rows'}: none[/dim]")
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = all(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    console.print(table)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout; times in ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain) + "\n")


def fail(error: GtmcError) -> typer.Exit:
    """Print the error's sentence and next step on stderr; raise what this returns (exit status 1)."""
    errors.print(f"[red]✗[/red] {escape(error.sentence)}", highlight=False)
    if error.next_step:
        errors.print(f"  {escape(error.next_step)}", highlight=False)
    return typer.Exit(1)


def _cell(value: Any) -> str:
    if value is None:
        return "[dim]-[/dim]"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
