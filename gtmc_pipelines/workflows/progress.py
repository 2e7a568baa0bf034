"""Live progress of a sync, from what Temporal already knows: phase, heartbeat, retries. Costs no history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.workflows.inputs import PHASE_KEY, Beat
from gtmc_pipelines.workflows.outcomes import outcome_of

_beats = TypeAdapter(Beat)


@dataclass(frozen=True, slots=True)
class Progress:
    """A sync at one moment. `counts` is the balance sheet per stream so far; `note` says why it waits, if it does."""

    workflow_id: str
    phase: str = ""
    stream: str = ""
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    note: str = ""
    is_closed: bool = False

    @property
    def totals(self) -> Counts:
        """The counts of all streams added up."""
        return sum((Counts.of(counts) for counts in self.counts.values()), Counts())


async def follow(client: Client, workflow_id: str, interval_seconds: float) -> AsyncIterator[Progress]:
    """Progress now, every `interval_seconds`, and at once at the end. A duplicate goes on with the winner."""
    handle = client.get_workflow_handle(workflow_id)
    ended = asyncio.ensure_future(outcome_of(handle))
    at = Progress(workflow_id)
    try:
        while True:
            described = await handle.describe()
            at = await _progress(client, described, at)
            if described.status is not WorkflowExecutionStatus.RUNNING:
                break
            yield at
            await asyncio.wait({ended}, timeout=interval_seconds)
        outcome = await ended
    finally:
        ended.cancel()
    if outcome.held_by:
        yield replace(at, note=f"Another sync of this connector is running: following {outcome.held_by}.")
        async for step in follow(client, outcome.held_by, interval_seconds):
            yield step
        return
    yield replace(at, counts=outcome.counts or at.counts, note=outcome.error, is_closed=True)


async def _progress(client: Client, described: WorkflowExecutionDescription, last: Progress) -> Progress:
    phase = described.typed_search_attributes.get(PHASE_KEY) or last.phase
    at = replace(last, phase=str(phase), note="")
    for pending in described.raw_description.pending_activities:
        if pending.attempt > 1 and pending.HasField("last_failure"):
            at = replace(at, note=f"Attempt {pending.attempt} after: {pending.last_failure.message}")
        if pending.heartbeat_details.payloads:
            values: list[Any] = await client.data_converter.decode(list(pending.heartbeat_details.payloads))
            beat = _beats.validate_python(values[0])
            at = replace(at, stream=beat.stream, phase=beat.phase.value, counts=beat.counts)
    return at
