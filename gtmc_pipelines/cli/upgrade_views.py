"""How an upgrade of data looks: the plan, a line for each step as it ends, counts before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.markup import escape

from gtmc_pipelines.cli.console import console, emit, emit_json
from gtmc_pipelines.storage.data_upgrades import TableCounts
from gtmc_pipelines.workflows.upgrades.mending import Mended
from gtmc_pipelines.workflows.upgrades.offers import Change, Entry
from gtmc_pipelines.workflows.upgrades.planning import Plan, Proposal, State, Task
from gtmc_pipelines.workflows.upgrades.steps import Way

_PLAN = ("tenant", "connector", "step", "streams", "raw_rows", "state", "mends")
_COUNTS = ("tenant", "connector", "step", "table", "rows", "live", "empty_values")


def show_plan(found: Plan, *, with_syncs: bool, as_json: bool) -> None:
    """Print what is to be done, and how to have it done."""
    if as_json:
        emit_json({"applied": False, **_as_json(found)})
        return
    open_tasks = [task for task in found.tasks if task.state is not State.DONE]
    emit(
        [_task(task) for task in open_tasks],
        _PLAN,
        as_json=False,
        title="To mend",
        when_none="Every row is as this version would write it.",
    )
    _tell_waiting(open_tasks)
    _show_offers(found.proposals)
    mending = any(task.is_open and task.step.way is not Way.FULL_SYNC for task in open_tasks)
    syncing = any(task.is_open and task.step.way is Way.FULL_SYNC for task in open_tasks)
    if mending or (syncing and with_syncs):
        console.print("Do it: gtmc upgrade-data --apply" + (" --sync" if with_syncs else ""), highlight=False)
    if syncing and not with_syncs:
        console.print("The full syncs ask the vendors: gtmc upgrade-data --apply --sync", highlight=False)


def show_result(after: Plan, mended: Sequence[Mended], *, as_json: bool) -> None:
    """Print counts before and after of what was done, and what is left."""
    if as_json:
        emit_json({"applied": True, "mended": [_mended(each) for each in mended], **_as_json(after)})
        return
    rows = [row for each in mended for row in _differences(each)]
    emit(rows, _COUNTS, as_json=False, title="Stored before → after", when_none="No count changed.")
    left = [task for task in after.tasks if task.state is not State.DONE]
    failed = [each for each in mended if each.error is not None]
    done = len(mended) - len(failed)
    console.print(f"{done:,} steps done, {len(failed):,} failed, {len(left):,} left.", highlight=False)
    _tell_waiting(left)
    if any(task.is_open and task.step.way is Way.FULL_SYNC for task in left):
        console.print("The full syncs ask the vendors: gtmc upgrade-data --apply --sync", highlight=False)
    _show_offers(after.proposals)


def tell_begun(task: Task, workflow_id: str) -> None:
    """A line when a step begins, or is gone on with."""
    named = f": {workflow_id}" if workflow_id else ""
    console.print(f"[dim]… {_title(task)}{named}[/dim]", highlight=False, soft_wrap=True)


def tell_ended(mended: Mended) -> None:
    """A line when a step has ended."""
    if mended.error is not None:
        console.print(f"[red]✗[/red] {_title(mended.task)}: {escape(str(mended.error))}", highlight=False)
        return
    counts = mended.counts
    told = f"{counts.read:,} read, {counts.changed:,} changed, {counts.failed:,} failed"
    console.print(f"[green]✓[/green] {_title(mended.task)}: {told}", highlight=False)


def silent(task: Task, workflow_id: str) -> None:
    """Tell nothing."""


def _title(task: Task) -> str:
    return f"{task.row.type.label} of {task.row.tenant_id}, {task.step.id}"


def _tell_waiting(tasks: Sequence[Task]) -> None:
    for why in dict.fromkeys(task.why for task in tasks if task.why):
        console.print(f"[yellow]waiting[/yellow]: {escape(why)}", highlight=False, soft_wrap=True)


def _show_offers(proposals: Sequence[Proposal]) -> None:
    pending = [proposal for proposal in proposals if proposal.outcome != "declined"]
    for proposal in pending:
        row = proposal.row
        console.print(f"\nNew defaults for {row.tenant_id}'s own {proposal.offer.entity} mapping of {row.type.label}:")
        for change in proposal.offer.changes:
            for line in _lines(change):
                console.print(line, highlight=False, soft_wrap=True)
    for tenant in dict.fromkeys(proposal.row.tenant_id for proposal in pending):
        console.print(f"\nTake them: gtmc upgrade-data --apply --accept-defaults {tenant}", highlight=False)
        console.print(f"Leave it:  gtmc upgrade-data --apply --decline-defaults {tenant}", highlight=False)


def _lines(change: Change) -> Iterator[str]:
    if change.former is not None:
        yield f"  [red]- {escape(_entry(change.former))}[/red]"
    if change.entry is not None:
        yield f"  [green]+ {escape(_entry(change.entry))}[/green]"


def _entry(entry: Entry) -> str:
    return json.dumps(dict(entry), ensure_ascii=False)


def _task(task: Task) -> dict[str, Any]:
    return {
        "tenant": task.row.tenant_id,
        "connector": task.row.type.value,
        "step": task.step.id,
        "streams": ", ".join(task.step.streams) or "all",
        "raw_rows": task.rows,
        "state": task.state.value,
        "mends": task.step.mends,
    }


def _as_json(found: Plan) -> dict[str, Any]:
    steps = [
        {
            **_task(task),
            "streams": list(task.step.streams),
            "way": task.step.way.value,
            "version": task.version,
            "why": task.why,
        }
        for task in found.tasks
    ]
    offers = [
        {
            "tenant": proposal.row.tenant_id,
            "connector": proposal.row.type.value,
            "entity": proposal.offer.entity.value,
            "outcome": proposal.outcome,
            "changes": [
                {"kind": change.kind, "entry": change.entry, "former": change.former}
                for change in proposal.offer.changes
            ],
        }
        for proposal in found.proposals
    ]
    return {"steps": steps, "offers": offers}


def _mended(mended: Mended) -> dict[str, Any]:
    return {
        **_task(mended.task),
        "streams": list(mended.task.step.streams),
        "counts": mended.counts.as_dict(),
        "before": mended.mending.counts_before,
        "after": mended.mending.counts_after,
        "workflow_id": mended.mending.workflow_id,
        "error": None if mended.error is None else str(mended.error),
    }


def _differences(mended: Mended) -> Iterator[dict[str, Any]]:
    """One row for each table some count of which has changed."""
    after: TableCounts = mended.mending.counts_after or {}
    for table, now in after.items():
        before = mended.mending.counts_before.get(table, {})
        empty = _empty(before.get("nulls", {}), now.get("nulls", {}))
        numbers = {name: _arrow(before.get(name), now.get(name)) for name in ("rows", "live")}
        if empty or any("→" in text for text in numbers.values()):
            where = {name: _task(mended.task)[name] for name in ("tenant", "connector", "step")}
            yield {**where, "table": table, **numbers, "empty_values": empty}


def _empty(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    changed = {column: number for column, number in after.items() if before.get(column) != number}
    return ", ".join(f"{column} {_arrow(before.get(column), number)}" for column, number in changed.items())


def _arrow(before: int | None, after: int | None) -> str:
    plain = "-" if after is None else f"{after:,}"
    return plain if before == after else f"{'-' if before is None else f'{before:,}'} → {plain}"
