"""How a sync ended, from whatever shape Temporal gives it: a result, a failure, a cancel, a termination."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError, TimeoutError
from temporalio.service import RPCError, RPCStatusCode

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines.workflows.inputs import SyncOutcome

_outcomes = TypeAdapter(SyncOutcome)


async def outcome_of(handle: WorkflowHandle[Any, Any]) -> SyncOutcome:
    """Wait for the end of this very workflow (and what it continues as). A failed sync is an outcome, not an error.

    Raises Misuse when Temporal doesn't know the workflow.
    """
    try:
        return _outcomes.validate_python(await handle.result())
    except WorkflowFailureError as error:
        return _ended_by(error.cause)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    raise Misuse(
        "unknown_workflow",
        f"Temporal knows no workflow {handle.id}.",
        next_step="It may be past its retention: `gtmc syncs list` shows what was recorded.",
    )


def _ended_by(cause: BaseException) -> SyncOutcome:
    if isinstance(cause, ApplicationError) and cause.details:
        return _outcomes.validate_python(cause.details[0])
    if isinstance(cause, CancelledError):
        return _failed(Outcome.CANCELLED, "cancelled", "The sync was cancelled; what it had written is kept.")
    if isinstance(cause, TerminatedError):
        return _failed(Outcome.FAILED, "terminated", "Somebody terminated the workflow of this sync.")
    if isinstance(cause, TimeoutError):
        return _failed(Outcome.FAILED, "timed_out", "The workflow of this sync ran into a time limit.")
    return _failed(Outcome.FAILED, "unexpected", "The workflow of this sync failed without a recorded cause.")


def _failed(outcome: Outcome, code: str, sentence: str) -> SyncOutcome:
    return SyncOutcome(
        outcome, error_code=code, error=sentence, next_step="Start it again: it goes on at its checkpoint."
    )
