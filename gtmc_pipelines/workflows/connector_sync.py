"""ConnectorSyncWorkflow: one sync of one connector, from authentication to closed books.

Three kinds of activity: `open_sync` once, `sync_segment` as often as it takes, `finalize` always.
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
from gtmc_pipelines.workflows.documented_inputs import BAD_INPUT, REFUSES, SYNC_FORM
from gtmc_pipelines.workflows.inputs import (
    CONNECTOR_KEY,
    PHASE_KEY,
    SYNC_TYPE_KEY,
    SYNC_WORKFLOW,
    TENANT_KEY,
    FaultNote,
    FinalizeRequest,
    SegmentResult,
    SyncOutcome,
    SyncPlan,
    SyncRequest,
)

_ORDER = list(Phase)
_READING = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=5), maximum_attempts=8)
_BOOKKEEPING = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))


@workflow.defn(name=SYNC_WORKFLOW)
class ConnectorSyncWorkflow:
    """Phases only move forward; whatever ends a sync, `finalize` runs and the status leaves `syncing`."""

    def __init__(self) -> None:
        self._request: SyncRequest
        self._plan: SyncPlan | None = None
        self._phase: Phase | None = None

    @workflow.run
    async def run(self, *given: Any) -> SyncOutcome:
        """Do the sync. Ends with a SyncOutcome as result, or as the details of the failure.

        `given` is one SyncRequest, or the documented `{tenantId, connectorId, fullSync}`.
        """
        self._request = _understood(given)
        self._plan = self._request.plan
        self._phase = Phase.WRITING if self._plan else None  # a continued run is past the early ones
        try:
            if self._plan is None:
                self._plan = await self._open()
            if self._plan.held_by:
                return SyncOutcome(Outcome.DUPLICATE, self._plan.mode, held_by=self._plan.held_by)
            await self._read_and_write(self._plan)
        except (ActivityError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await self._close(Outcome.CANCELLED)
                raise
            note = FaultNote.behind(error)
            raise _failure(await self._close(Outcome.DEFERRED if note.until else Outcome.FAILED, note)) from None
        outcome = await self._close(Outcome.COMPLETED)
        if not outcome.is_success:  # a stream failed while the others went on
            raise _failure(outcome)
        return outcome

    async def _open(self) -> SyncPlan:
        self._enter(Phase.AUTHENTICATING, TENANT_KEY.value_set(self._request.tenant_id))
        plan: SyncPlan = await workflow.execute_activity(
            "open_sync",
            args=[self._request, self._owner],
            result_type=SyncPlan,
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=self._request.heartbeat_seconds),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=_READING,
        )
        self._request = self._request.planned(plan)
        self._honour_cancel()
        return plan

    async def _read_and_write(self, plan: SyncPlan) -> None:
        while True:
            found_out = (SYNC_TYPE_KEY.value_set(plan.mode), CONNECTOR_KEY.value_set(self._request.kind.value))
            self._enter(Phase.SYNCING, *found_out)  # a first sync turns out to be a full one
            segment = await self._segment(plan)
            self._honour_cancel()
            self._enter(Phase.WRITING)
            plan = self._plan = replace(plan, segments=plan.segments + 1)
            if segment.is_complete:
                return
            if workflow.info().is_continue_as_new_suggested() or plan.segments % self._request.segments_per_run == 0:
                workflow.continue_as_new(replace(self._request, plan=plan))

    async def _segment(self, plan: SyncPlan) -> SegmentResult:
        result: SegmentResult = await workflow.execute_activity(
            "sync_segment",
            args=[self._request, plan],
            result_type=SegmentResult,
            start_to_close_timeout=timedelta(hours=2),
            heartbeat_timeout=timedelta(seconds=self._request.heartbeat_seconds),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            retry_policy=_READING,
        )
        return result

    async def _close(self, outcome: Outcome, fault: FaultNote | None = None) -> SyncOutcome:
        self._enter(Phase.FINALIZING)
        ended = await to_the_end(self._finalize(outcome, fault))
        self._enter(Phase.COMPLETE if ended.is_success else Phase.FAILED)
        return ended

    async def _finalize(self, outcome: Outcome, fault: FaultNote | None) -> SyncOutcome:
        cancelled_by = workflow.cancellation_reason() or ""
        ended: SyncOutcome = await workflow.execute_activity(
            "finalize",
            FinalizeRequest(self._request, self._owner, outcome, self._plan, fault, cancelled_by),
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
            raise asyncio.CancelledError("sync cancelled")

    def _enter(self, phase: Phase, *more: SearchAttributeUpdate[Any]) -> None:
        """Phases only move forward: a handful of visibility writes a sync, however many segments."""
        if self._phase is None or _ORDER.index(phase) > _ORDER.index(self._phase):
            self._phase = phase
            workflow.upsert_search_attributes([PHASE_KEY.value_set(phase), *more])


def _understood(given: Sequence[Any]) -> SyncRequest:
    """The request. Raises the failure of an input that isn't understood: a task that failed instead would repeat."""
    try:
        return SYNC_FORM.understood(given)
    except Misuse as error:
        if workflow.patched(REFUSES):
            refused = SyncOutcome(
                Outcome.FAILED, error_code=error.code, error=error.sentence, next_step=error.next_step
            )
            raise _failure(refused, BAD_INPUT) from None
    return SYNC_FORM.leniently(given)


def _failure(outcome: SyncOutcome, kind: str = "") -> ApplicationError:
    """The failure a sync ends with: its outcome (ids, counts, one sentence) as details."""
    text = f"{outcome.error} {outcome.next_step}".strip()
    return ApplicationError(text, asdict(outcome), type=kind or outcome.outcome.value, non_retryable=True)
