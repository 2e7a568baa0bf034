"""The demo's result: one table for people, `demo.json` for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from gtmc_pipelines.cli.console import Sheet, line, new_table
from gtmc_pipelines.cli.demo_setup import Subject
from gtmc_pipelines.cli.demo_syncs import Results
from gtmc_pipelines.cli.truth.compare import Verdict
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import SyncLog, list_syncs

_NUMBERS = ("created", "updated", "unchanged", "deleted", "failed")  # what fits beside the rest in 80 columns


def report_of(subject: Subject, launched: SyncLog, syncs: Sequence[SyncLog], verdict: Verdict) -> dict[str, Any]:
    """One object of `demo.json`: totals of `syncs`, each by itself, and whether the tables are true.

    `launched` is the last one the demo launched; a sensor or a schedule may have added syncs of its own.
    """
    total = sum((log.counts for log in syncs), Counts())
    return {
        "tenant": subject.tenant_id,
        "connector": str(subject.connector),
        **total.as_dict(),
        "seconds": round(sum(log.seconds or 0 for log in syncs), 2),
        "workflow_id": launched.workflow_id,
        "dagster_run_id": launched.dagster_run_id,
        "truth": verdict.is_true,
        "canonical_rows": verdict.rows,
        "differences": verdict.differences[:20],
        "syncs": [_sync(log) for log in syncs],
    }


def _sync(log: SyncLog) -> dict[str, Any]:
    return {
        "sync_type": str(log.sync_type),
        "status": str(log.status),
        **log.counts.as_dict(),
        "is_balanced": log.counts.is_balanced,
        "seconds": round(log.seconds or 0, 2),
        "workflow_id": log.workflow_id,
        "dagster_run_id": log.dagster_run_id,
    }


def reports(
    database: Database, since: datetime, launched: Results, verdicts: Mapping[Subject, Verdict]
) -> list[dict[str, Any]]:
    """All objects of `demo.json`, in the order of the subjects; what is counted are the syncs begun after `since`."""
    found = []
    for subject, verdict in verdicts.items():
        newest_first = list_syncs(database, subject.tenant_id, subject.connector_id, limit=20)
        syncs = [log for log in reversed(newest_first) if log.started_at >= since]
        found.append(report_of(subject, launched[subject], syncs, verdict))
    return found


def write(path: Path, objects: Sequence[Mapping[str, Any]]) -> None:
    """Write `demo.json`."""
    path.write_text(json.dumps(objects, indent=2) + "\n")


def table_of(objects: Sequence[Mapping[str, Any]]) -> Sheet:
    """Connector × tenant with the totals of both syncs."""
    table = new_table()
    for column in ("connector", "tenant"):
        table.add_column(column, no_wrap=True)
    for column in (*_NUMBERS, "seconds"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("truth", no_wrap=True)
    for entry in objects:
        numbers = (f"{entry[name]:,}" for name in _NUMBERS)
        mark = line("[green]✓[/green]") if entry["truth"] else line("[red]✗[/red]")
        table.add_row(entry["connector"], entry["tenant"], *numbers, f"{entry['seconds']:.1f}", mark)
    total = sum((Counts.of(dict(entry)) for entry in objects), Counts())
    table.add_section()
    table.add_row("all", "", *(f"{getattr(total, name):,}" for name in _NUMBERS))
    return table
