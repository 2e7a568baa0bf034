"""Whether a workflow is still running: what decides if a lease, or a status, is a dead one's."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from gtmc_pipelines.model.errors import Retry

_PATIENCE = timedelta(seconds=10)


async def is_running(client: Client, workflow_id: str) -> bool:
    """True while the workflow, or the run it continued as, is open.

    A workflow past its retention counts as closed. Any doubt raises Retry: a lease is never taken
    over because a question wasn't answered.
    """
    try:
        described = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise Retry(
            "temporal_doubtful",
            f"Temporal didn't say whether another sync is running ({error.status.name}).",
            next_step="It is asked again in a moment.",
        ) from None
    return described.status is WorkflowExecutionStatus.RUNNING
