"""RenormalizeWorkflow: canonical rows of a connector made again from its raw rows. The vendor is not called.

A request with the trigger `replay` is about dead letters alone (activities.replay).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import Outcome, Phase
from gtmc_pipelines.workflows.closing import to_the_end
from gtmc_pipelines.workflows.documented_inputs import BAD_INPUT, REFUSES, RENORMALIZE_FORM
from gtmc_pipelines.workflows.inputs import (
    CONNECTOR_KEY,
    PHASE_KEY,
    RENORMALIZE_WORKFLOW,
    SYNC_TYPE_KEY,
    TENANT_KEY,
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

    def __init__(self) -> None:
        self._request: SyncRequest
        self._plan: SyncPlan | None = None

    @workflow.run
    async def run(self, *given: Any) -> SyncOutcome:
        """Do it. Ends with a SyncOutcome as result, or as the details of the failure.

        `given` is one SyncRequest, or the documented `{tenantId, connectorId}`.
        """
        self._request = _understood(given)
        self._plan = self._request.plan
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
            raise _failure(await self._close(Outcome.FAILED, FaultNote.behind(error))) from None
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
        self._request = self._request.planned(plan)
        self._honour_cancel()
        return plan

    async def _write(self, plan: SyncPlan) -> None:
        self._enter(
            Phase.WRITING,
            TENANT_KEY.value_set(self._request.tenant_id),
            CONNECTOR_KEY.value_set(self._request.kind.value),
            SYNC_TYPE_KEY.value_set(self._request.sync_type),
        )
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

    def _enter(self, phase: Phase, *more: SearchAttributeUpdate[Any]) -> None:
        workflow.upsert_search_attributes([PHASE_KEY.value_set(phase), *more])


def _understood(given: Sequence[Any]) -> SyncRequest:
    """As of ConnectorSyncWorkflow."""
    try:
        return RENORMALIZE_FORM.understood(given)
    except Misuse as error:
        if workflow.patched(REFUSES):
            refused = SyncOutcome(
                Outcome.FAILED, error_code=error.code, error=error.sentence, next_step=error.next_step
            )
            raise _failure(refused, BAD_INPUT) from None
    return RENORMALIZE_FORM.leniently(given)


def _failure(outcome: SyncOutcome, kind: str = "") -> ApplicationError:
    """The failure it ends with: its outcome (ids, counts, one sentence) as details."""
    text = f"{outcome.error} {outcome.next_step}".strip()
    return ApplicationError(text, asdict(outcome), type=kind or outcome.outcome.value, non_retryable=True)
