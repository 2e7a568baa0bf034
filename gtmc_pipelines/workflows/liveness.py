"""Whether a workflow is still running: what decides if a lease, or a status, is a dead one's."""

from __future__ import annotations

from datetime import timedelta

from temporalio.api.errordetails.v1 import NotFoundFailure
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.storage.leases import Held

UNKNOWN_NAMESPACE = "temporal_namespace_unknown"
"""Code of the doubt about a single lease: its namespace isn't there, whatever Temporal says of others."""

_PATIENCE = timedelta(seconds=10)


async def is_running(client: Client, workflow_id: str) -> bool:
    """True while the workflow, or the run it continued as, is open.

    A workflow past its retention counts as closed. Any doubt raises Retry: a lease is never taken
    over because a question wasn't answered.
    """
    try:
        described = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_PATIENCE)
    except RPCError as error:
        if _is_unknown_workflow(error):
            return False
        raise _doubt(error, client.namespace) from None
    return described.status is WorkflowExecutionStatus.RUNNING


async def is_holding(client: Client, held: Held) -> bool:
    """`is_running` for the owner of a lease, asked in the owner's namespace whatever the client's is."""
    if held.owner_namespace is not None:
        client = Client(client.service_client, namespace=held.owner_namespace, data_converter=client.data_converter)
    return await is_running(client, held.owner_workflow)


def _is_unknown_workflow(error: RPCError) -> bool:
    """An unknown namespace is NOT_FOUND too: only the details tell them apart."""
    is_not_found = error.status is RPCStatusCode.NOT_FOUND
    return is_not_found and any(detail.Is(NotFoundFailure.DESCRIPTOR) for detail in error.grpc_status.details)


def _doubt(error: RPCError, namespace: str) -> Retry:
    if error.status is RPCStatusCode.NOT_FOUND:
        return Retry(
            UNKNOWN_NAMESPACE,
            f"Temporal has no namespace {namespace!r}, and so can't say whether another sync is running there.",
            next_step="Correct TEMPORAL_NAMESPACE; it must be the one the workers use.",
        )
    return Retry(
        "temporal_doubtful",
        f"Temporal didn't say whether another sync is running ({error.status.name}).",
        next_step="It is asked again in a moment.",
    )
