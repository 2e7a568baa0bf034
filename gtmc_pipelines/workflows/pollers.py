"""Whether anybody works on a task queue: judged by polls the server has seen, not by processes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from gtmc_pipelines.model.errors import Misuse

FRESH_SECONDS = 75.0
"""A healthy idle worker polls again within about 60 s; anything older is the ghost of a dead process."""

_FIRST_POLL_SECONDS = 20.0
_PAUSE_SECONDS = 0.05
_KINDS = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)


@dataclass(frozen=True, slots=True)
class Poller:
    """A worker as the server saw it last."""

    identity: str
    seconds_ago: float

    @property
    def is_fresh(self) -> bool:
        """True while it may still be alive."""
        return self.seconds_ago < FRESH_SECONDS


async def pollers_of(client: Client, task_queue: str) -> list[Poller]:
    """Workers that polled for workflow tasks and for activities, by their older poll; freshest first."""
    now, seen = datetime.now(UTC), []
    for kind in _KINDS:
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
            )
        )
        seen.append({p.identity: (now - p.last_access_time.ToDatetime(UTC)).total_seconds() for p in answer.pollers})
    workflows, activities = seen
    both = [Poller(name, max(age, activities[name])) for name, age in workflows.items() if name in activities]
    return sorted(both, key=lambda poller: poller.seconds_ago)


async def require_workers(client: Client, task_queue: str) -> None:
    """Raise Misuse when no worker polls: a sync could be started, and then nothing would ever happen."""
    pollers = await pollers_of(client, task_queue)
    if any(poller.is_fresh for poller in pollers):
        return
    last = f" (the last one was seen {pollers[0].seconds_ago:.0f} s ago)" if pollers else ""
    raise Misuse(
        "no_worker",
        f"No worker is polling the task queue {task_queue}{last}.",
        next_step="Start one with `gtmc worker`.",
    )


async def until_polling(client: Client, task_queue: str, identity: str) -> None:
    """Wait until the server has seen this worker poll: from then on `require_workers` is content.

    Raises Misuse when that takes longer than twenty seconds.
    """
    try:
        async with asyncio.timeout(_FIRST_POLL_SECONDS):
            while identity not in {poller.identity for poller in await pollers_of(client, task_queue)}:
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError:
        raise Misuse(
            "worker_not_polling",
            f"This worker doesn't get to poll the task queue {task_queue}.",
            next_step="Check that Temporal is healthy and that the namespace allows polling.",
        ) from None
