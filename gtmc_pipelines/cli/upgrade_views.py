"""How an upgrade of data looks: the plan, a line for each step as it ends, counts before and after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gtmc_pipelines.cli.console import emit, emit_json, say, say_unbroken
from gtmc_pipelines.storage.data_upgrades import TableCounts
from gtmc_pipelines.workflows.upgrades.mending import Mended
from gtmc_pipelines.workflows.upgrades.offers import Entry
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
        say("Do it: gtmc upgrade-data --apply{}", " --sync" if with_syncs else "")
    if syncing and not with_syncs:
        say("The full syncs ask the vendors: gtmc upgrade-data --apply --sync")


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
    say("{:,} steps done, {:,} failed, {:,} left.", done, len(failed), len(left))
    _tell_waiting(left)
    if any(task.is_open and task.step.way is Way.FULL_SYNC for task in left):
        say("The full syncs ask the vendors: gtmc upgrade-data --apply --sync")
    _show_offers(after.proposals)


def tell_begun(task: Task, workflow_id: str) -> None:
    """A line when a step begins, or is gone on with."""
    named = f": {workflow_id}" if workflow_id else ""
    say_unbroken("[dim]… {}{}[/dim]", _title(task), named)


def tell_ended(mended: Mended) -> None:
    """A line when a step has ended."""
    if mended.error is not None:
        say("[red]✗[/red] {}: {}", _title(mended.task), mended.error)
        return
    counts = mended.counts
    told = f"{counts.read:,} read, {counts.changed:,} changed, {counts.failed:,} failed"
    say("[green]✓[/green] {}: {}", _title(mended.task), told)


def silent(task: Task, workflow_id: str) -> None:
    """Tell nothing."""


def _title(task: Task) -> str:
    return f"{task.row.type.label} of {task.row.tenant_id}, {task.step.id}"


def _tell_waiting(tasks: Sequence[Task]) -> None:
    for why in dict.fromkeys(task.why for task in tasks if task.why):
        say_unbroken("[yellow]waiting[/yellow]: {}", why)


def _show_offers(proposals: Sequence[Proposal]) -> None:
    pending = [proposal for proposal in proposals if proposal.outcome != "declined"]
    for proposal in pending:
        row = proposal.row
        say("\nNew defaults for {}'s own {} mapping of {}:", row.tenant_id, proposal.offer.entity, row.type.label)
        for change in proposal.offer.changes:
            if change.former is not None:
                say_unbroken("  [red]- {}[/red]", _entry(change.former))
            if change.entry is not None:
                say_unbroken("  [green]+ {}[/green]", _entry(change.entry))
    for tenant in dict.fromkeys(proposal.row.tenant_id for proposal in pending):
        say("\nTake them: gtmc upgrade-data --apply --accept-defaults {}", tenant)
        say("Leave it:  gtmc upgrade-data --apply --decline-defaults {}", tenant)


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
