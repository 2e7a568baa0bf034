"""How syncs look in a terminal: live progress, the balance sheet at the end, one sync in full."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from gtmc_pipelines.cli.console import Line, Sheet, is_watched, line, new_table, redrawn, say, say_unbroken, show
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.storage.sync_history import SyncLog
from gtmc_pipelines.storage.sync_logs import FAILED_VALUES
from gtmc_pipelines.workflows.progress import Progress

COUNTERS = tuple(Counts().as_dict())
_BAD = {"failed"}


def watch(steps: Iterator[Progress], *, is_quiet: bool) -> None:
    """Follow a sync to its end, redrawing its balance sheet; one line per change where there is no terminal."""
    if is_quiet:
        deque(steps, maxlen=0)
    elif is_watched():
        with redrawn() as redraw:
            for step in steps:
                redraw(_sheet(step.counts, _headline(step)) if step.counts else _headline(step))
    else:
        _in_lines(steps)


def balance_sheet(counts: Mapping[str, Mapping[str, int]], title: str = "") -> None:
    """Print the records of each stream and their sum; every row adds up. Without streams, only the title."""
    if not counts:
        say("{}", title, style="bold")
        return
    show(_sheet(counts, line("{}", title, style="bold")))


def left_out(stream: str, told: Mapping[str, Any]) -> None:
    """Print the slices of a stream that a sync could not read, each with its reason."""
    slices = told.get("slices") or []
    table = new_table(line("left out of {}: {:,}", stream, told.get("count", len(slices)), style="bold"))
    for column in ("slice", "reason", "kind", "syncs in a row"):
        table.add_column(column)
    for each in slices:
        table.add_row(*(each.get(name, "") for name in ("slice", "reason", "kind", "syncs_in_a_row")))
    show(table)


def log_row(log: SyncLog) -> dict[str, Any]:
    """A sync as a flat dictionary, for lists and --json."""
    return {
        "id": log.id,
        "tenant": log.tenant_id,
        "connector": log.connector,
        "type": log.kind,
        "full_because": log.full_because,
        "outcome": log.outcome or log.status.value,
        "phase": log.phase,
        "started_at": log.started_at,
        "seconds": None if log.seconds is None else round(log.seconds, 1),
        **log.counts.as_dict(),
        "error_code": log.error_code,
        "error": log.error_message,
        "deferred_until": log.deferred_until,
        "trigger": log.trigger,
        "workflow_id": log.workflow_id,
        "dagster_run_id": log.dagster_run_id,
        "vendor_usage": dict(log.vendor_usage),
    }


def usage_text(usage: Mapping[str, int]) -> str | None:
    """What a sync cost at the vendor, in words: `412 requests, 9,310 of 100,000 of the day used by everybody`."""
    if not usage:
        return None
    said = f"{usage.get('requests', 0):,} requests"
    if "api_used" in usage and "api_limit" in usage:
        said += f"; {usage['api_used']:,} of the day's {usage['api_limit']:,} used by everybody"
    return said


def _in_lines(steps: Iterator[Progress]) -> None:
    said = None
    for step in steps:
        if (saying := (step.workflow_id, step.phase, step.stream, step.note)) != said:
            counts = line(" [dim]{:,} read, {:,} written[/dim]", step.totals.read, step.totals.changed)
            show(_headline(step).append_text(counts))
            said = saying


def _headline(step: Progress) -> Line:
    said = line("[bold cyan]{}[/bold cyan]", step.phase or "waiting for a worker")
    if step.stream:
        said.append_text(line("[cyan] · {}[/cyan]", step.stream))
    if step.note:
        said.append_text(line("\n[yellow]{}[/yellow]", step.note))
    return said


def _sheet(counts: Mapping[str, Mapping[str, int]], heading: Line) -> Sheet:
    table = new_table(heading, show_footer=len(counts) > 1)
    total = sum((Counts.of(dict(each)) for each in counts.values()), Counts()).as_dict()
    table.add_column("stream", footer="total")
    for name in COUNTERS:
        table.add_column(name, justify="right", footer=f"{total[name]:,}", style="red" if _is_bad(name, total) else "")
    for stream, each in counts.items():
        table.add_row(stream, *(f"{each.get(name, 0):,}" for name in COUNTERS))
    return table


def tell_failed_values(log: SyncLog) -> None:
    """Say in which streams optional values stayed empty, and where they are listed; nothing when there are none."""
    found = {name: int(each.get(FAILED_VALUES, 0)) for name, each in log.stream_counts.items()}
    listed = ", ".join(f"{name} ({number:,})" for name, number in sorted(found.items()) if number)
    if listed:
        say("failed values: {}; their records are written without them.", listed)
        where = f"--tenant {log.tenant_id} --connector {log.connector}"
        say_unbroken("  gtmc failed-values list {}", where)


def _is_bad(name: str, total: Mapping[str, int]) -> bool:
    return name in _BAD and total[name] > 0
