"""RenormalizeWorkflow: canonical rows of a connector made again from its raw rows. The vendor is not called.

A request with the trigger `replay` is about dead letters alone (activities.replay).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from gtmc_pipelines.model.phases import Outcome, Phase
from gtmc_pipelines.workflows.closing import to_the_end
from gtmc_pipelines.workflows.inputs import (
    PHASE_KEY,
    RENORMALIZE_WORKFLOW,
    FaultNote,
    FinalizeRequest,
    SegmentResult,
    SyncOutcome,
    SyncPlan,
    SyncRequest,
)

_WRITING = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=1), maximum_attempts=8)
_BOOKKEEPING = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))


@workflow.defn(name=RENORMALIZE_WORKFLOW)
class RenormalizeWorkflow:
    """Holds the connector's lease, so that it and a sync exclude each other; whatever ends it, its books are closed."""

    @workflow.init
    def __init__(self, request: SyncRequest) -> None:
        self._request = request
        self._plan = request.plan

    @workflow.run
    async def run(self, request: SyncRequest) -> SyncOutcome:
        """Do it. Ends with a SyncOutcome as result, or as the details of the failure."""
        try:
            if self._plan is None:
                self._plan = await self._open()
            if self._plan.held_by:
                return SyncOutcome(Outcome.DUPLICATE, self._plan.mode, held_by=self._plan.held_by)
            await self._write(self._plan)
        except (ActivityError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await self._close(Outcome.CANCELLED)
                raise
            outcome = await self._close(Outcome.FAILED, FaultNote.behind(error))
            text = f"{outcome.error} {outcome.next_step}".strip()
            raise ApplicationError(text, asdict(outcome), type=outcome.outcome.value, non_retryable=True) from None
        return await self._close(Outcome.COMPLETED)

    async def _open(self) -> SyncPlan:
        plan: SyncPlan = await workflow.execute_activity(
            "open_renormalize",
            args=[self._request, self._owner],
            result_type=SyncPlan,
            start_to_close_timeout=timedelta(minutes=1),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=_WRITING,
        )
        self._honour_cancel()
        return plan

    async def _write(self, plan: SyncPlan) -> None:
        self._enter(Phase.WRITING)
        while True:
            segment: SegmentResult = await workflow.execute_activity(
                "renormalize_segment",
                args=[self._request, plan],
                result_type=SegmentResult,
                start_to_close_timeout=timedelta(hours=2),
                heartbeat_timeout=timedelta(seconds=self._request.heartbeat_seconds),
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                retry_policy=_WRITING,
            )
            self._honour_cancel()
            plan = self._plan = replace(plan, segments=plan.segments + 1)
            if segment.is_complete:
                return
            if workflow.info().is_continue_as_new_suggested() or plan.segments % self._request.segments_per_run == 0:
                workflow.continue_as_new(replace(self._request, plan=plan))

    async def _close(self, outcome: Outcome, fault: FaultNote | None = None) -> SyncOutcome:
        self._enter(Phase.FINALIZING)
        cancelled_by = workflow.cancellation_reason() or ""
        call = FinalizeRequest(self._request, self._owner, outcome, self._plan, fault, cancelled_by)
        ended = await to_the_end(self._finalize(call))
        self._enter(Phase.COMPLETE if ended.is_success else Phase.FAILED)
        return ended

    async def _finalize(self, call: FinalizeRequest) -> SyncOutcome:
        ended: SyncOutcome = await workflow.execute_activity(
            "finalize_renormalize",
            call,
            result_type=SyncOutcome,
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=_BOOKKEEPING,
        )
        return ended

    @property
    def _owner(self) -> str:
        """Who holds the lease: the same over every continue-as-new."""
        return workflow.info().first_execution_run_id

    def _honour_cancel(self) -> None:
        """asyncio drops a cancel that lands with an activity's completion; the request itself stays readable."""
        if workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError("re-normalising cancelled")

    def _enter(self, phase: Phase) -> None:
        workflow.upsert_search_attributes([PHASE_KEY.value_set(phase)])
