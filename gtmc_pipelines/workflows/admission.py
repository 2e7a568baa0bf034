"""Admission: an activity begins to work once it has a slot. What waits beats, and costs no thread."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio import activity
from temporalio.exceptions import CancelledError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.workflows.activities.pulse import WORKER_STOPPING
from gtmc_pipelines.workflows.faults import failure_of
from gtmc_pipelines.workflows.slots import TURN, Slots, Turn

BEGUN_FOR_A_SLOT = 4
"""Activities a worker begins for each of its slots: room for those that wait for a slot or for a silent vendor."""

_LONG = frozenset({"sync_segment", "renormalize_segment"})
"""Activities that need a slot. The others are a few statements each (and one login), and begin or end syncs."""

_TICK_SECONDS = 1.0


class FairSlots(Interceptor):
    """Lets a worker's activities in by `slots`."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Temporal's hook: once per activity."""
        return _Admission(next, self._slots)


class _Admission(ActivityInboundInterceptor):
    def __init__(self, following: ActivityInboundInterceptor, slots: Slots) -> None:
        super().__init__(following)
        self._slots = slots

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if activity.info().activity_type not in _LONG:
            return await self.next.execute_activity(input)
        turn = self._slots.turn(input.args[0].tenant_id)
        token = TURN.set(turn)
        try:
            await _until_granted(turn)
            return await self.next.execute_activity(input)
        finally:
            TURN.reset(token)
            self._slots.give_back(turn)


async def _until_granted(turn: Turn) -> None:
    """Raises what ends a wait: a cancel, or the worker's own end (another worker takes it over at once)."""
    while not turn.has_slot:
        await asyncio.wait([asyncio.wrap_future(turn.granted)], timeout=_TICK_SECONDS)
        if turn.has_slot:
            return
        activity.heartbeat()
        if activity.is_cancelled():
            raise CancelledError("cancelled before it began")
        if activity.is_worker_shutdown():
            raise failure_of(
                Retry(WORKER_STOPPING, "This worker is being stopped; another one goes on.", after_seconds=0.1)
            )
