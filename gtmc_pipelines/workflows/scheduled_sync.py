"""ScheduledSyncWorkflow: one sync per connected connector, so many at a time, whoever fails.

For installations that schedule with Temporal itself; under Dagster its schedules do this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, ChildWorkflowError, WorkflowAlreadyStartedError

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.ids import workflow_id
from gtmc_pipelines.model.phases import Outcome, Trigger
from gtmc_pipelines.workflows.documented_inputs import BAD_INPUT, REFUSES, SCHEDULED_FORM
from gtmc_pipelines.workflows.inputs import (
    CONNECTOR_KEY,
    SCHEDULED_WORKFLOW,
    SYNC_TYPE_KEY,
    SYNC_WORKFLOW,
    TENANT_KEY,
    DueConnector,
    ScheduledOutcome,
    ScheduledRequest,
    SyncOutcome,
    SyncRequest,
)


@workflow.defn(name=SCHEDULED_WORKFLOW)
class ScheduledSyncWorkflow:
    """A child's failure is counted and never blocks its siblings. Continues as new every `per_run` children."""

    def __init__(self) -> None:
        self._succeeded = 0
        self._failed = 0

    @workflow.run
    async def run(self, *given: Any) -> ScheduledOutcome:
        """Sync what is due, in an order that is fair between tenants; gives the documented three counts.

        `given` is one ScheduledRequest, or the documented `{tenantId}` or `{allTenants: true}`.
        """
        request = _understood(given)
        at = request.at or workflow.info().start_time
        due: list[DueConnector] = await workflow.execute_activity(
            "list_due",
            request,
            result_type=list[DueConnector],
            start_to_close_timeout=timedelta(seconds=30),
            retry_policy=RetryPolicy(maximum_interval=timedelta(minutes=1)),
        )
        window = asyncio.Semaphore(request.window)
        await asyncio.gather(*(self._child(request, connector, at, window) for connector in due))
        total = replace(
            request,
            at=at,
            after=due[-1].place if due else request.after,
            processed=request.processed + len(due),
            succeeded=request.succeeded + self._succeeded,
            failed=request.failed + self._failed,
        )
        if len(due) == request.per_run:
            workflow.continue_as_new(total)
        return ScheduledOutcome(total.processed, total.succeeded, total.failed)

    async def _child(
        self, request: ScheduledRequest, due: DueConnector, at: datetime, window: asyncio.Semaphore
    ) -> None:
        async with window:
            try:
                outcome: SyncOutcome = await workflow.execute_child_workflow(
                    SYNC_WORKFLOW,
                    SyncRequest(
                        due.tenant_id,
                        due.connector_id,
                        due.connector_type,
                        request.mode,
                        trigger=Trigger.SCHEDULE,
                        heartbeat_seconds=request.heartbeat_seconds,
                    ),
                    id=workflow_id(due.tenant_id, due.connector_id, at),
                    result_type=SyncOutcome,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    parent_close_policy=workflow.ParentClosePolicy.REQUEST_CANCEL,  # never TERMINATE: books stay open
                    search_attributes=TypedSearchAttributes(
                        [
                            SearchAttributePair(TENANT_KEY, due.tenant_id),
                            SearchAttributePair(CONNECTOR_KEY, due.connector_type.value),
                            SearchAttributePair(SYNC_TYPE_KEY, request.mode.value),
                        ]
                    ),
                )
            except (ChildWorkflowError, WorkflowAlreadyStartedError):
                self._failed += 1
                return
        if outcome.outcome in (Outcome.COMPLETED, Outcome.DUPLICATE):  # a duplicate: it is being synced right now
            self._succeeded += 1
        else:
            self._failed += 1


def _understood(given: Sequence[Any]) -> ScheduledRequest:
    """The request. Raises the failure of an input that isn't understood: a task that failed instead would repeat."""
    try:
        return SCHEDULED_FORM.understood(given)
    except Misuse as error:
        if workflow.patched(REFUSES):
            text = f"{error.sentence} {error.next_step}"
            raise ApplicationError(text, type=BAD_INPUT, non_retryable=True) from None
    return SCHEDULED_FORM.leniently(given)
