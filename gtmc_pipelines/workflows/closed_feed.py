"""The feed of closed syncs: each run exactly once, whoever started it, from a cursor kept as text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowExecution

from gtmc_pipelines.workflows.inputs import (
    CONNECTOR_KEY,
    DAGSTER_RUN_KEY,
    PHASE_KEY,
    RENORMALIZE_WORKFLOW,
    SYNC_TYPE_KEY,
    SYNC_WORKFLOW,
    TENANT_KEY,
)

_OVERLAP = timedelta(minutes=2)  # visibility stores of production servers lag behind
_FIRST_LOOK = timedelta(hours=24)
_HALVINGS = 30  # 24 hours to a tenth of a millisecond


@dataclass(frozen=True, slots=True)
class ClosedSync:
    """A sync that has ended, as its search attributes tell it. `status` is Temporal's word in lower case."""

    workflow_id: str
    run_id: str
    tenant_id: str
    connector_type: str
    sync_type: str
    phase: str
    dagster_run_id: str
    status: str
    started_at: datetime
    closed_at: datetime


@dataclass(frozen=True, slots=True)
class ClosedSyncs:
    """A page of the feed, oldest first, and the cursor to ask with next time."""

    syncs: tuple[ClosedSync, ...]
    cursor: str


async def closed_since(client: Client, cursor: str | None, *, limit: int = 200) -> ClosedSyncs:
    """At most `limit` syncs closed since `cursor` (None: in the last 24 hours), none twice, none missed.

    Looks back two minutes before the newest closing it has given and remembers the runs given in
    that window, so that a store that shows closings late loses none. However many have closed since,
    few more than it gives are listed; the store counts the others.
    """
    saved = json.loads(cursor) if cursor else {}
    high = datetime.fromisoformat(saved["high"]) if saved else datetime.now(UTC) - _FIRST_LOOK
    seen: dict[str, str] = dict(saved.get("seen", {}))
    query = (
        f"WorkflowType IN ('{SYNC_WORKFLOW}', '{RENORMALIZE_WORKFLOW}') AND ExecutionStatus != 'Running' "
        f"AND ExecutionStatus != 'ContinuedAsNew' AND CloseTime > '{_iso(high - _OVERLAP)}'"
    )
    until = await _until(client, query, high - _OVERLAP, len(seen) + limit)
    if until is not None:
        query += f" AND CloseTime <= '{_iso(until)}'"
    found = [run async for run in client.list_workflows(query, page_size=1000) if run.run_id not in seen]
    page = sorted((_closed(run) for run in found), key=lambda sync: (sync.closed_at, sync.run_id))[:limit]
    for sync in page:
        seen[sync.run_id] = _iso(sync.closed_at)
        high = max(high, sync.closed_at)
    floor = _iso(high - _OVERLAP)
    kept = {run: at for run, at in seen.items() if at >= floor}
    return ClosedSyncs(tuple(page), json.dumps({"high": high.isoformat(), "seen": kept}))


async def _until(client: Client, query: str, since: datetime, enough: int) -> datetime | None:
    """Where `query` may stop so as to find at least `enough`, and no more than twice as many; None: nowhere."""

    async def count(end: datetime) -> int:
        return (await client.count_workflows(f"{query} AND CloseTime <= '{_iso(end)}'")).count

    before, until = since, datetime.now(UTC) + _FIRST_LOOK  # the server's clock may be ahead
    found = (await client.count_workflows(query)).count
    if found <= 2 * enough:
        return None
    for _ in range(_HALVINGS):
        if found <= 2 * enough:
            break
        middle = before + (until - before) / 2
        closed = await count(middle)
        if closed >= enough:
            until, found = middle, closed
        else:
            before = middle
    return until


def _closed(run: WorkflowExecution) -> ClosedSync:
    def attribute(key: Any) -> str:
        return str(run.typed_search_attributes.get(key) or "")

    return ClosedSync(
        workflow_id=run.id,
        run_id=run.run_id,
        tenant_id=attribute(TENANT_KEY),
        connector_type=attribute(CONNECTOR_KEY),
        sync_type=attribute(SYNC_TYPE_KEY),
        phase=attribute(PHASE_KEY),
        dagster_run_id=attribute(DAGSTER_RUN_KEY),
        status=run.status.name.lower() if run.status else "",
        started_at=run.start_time,
        closed_at=run.close_time or run.start_time,
    )


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
