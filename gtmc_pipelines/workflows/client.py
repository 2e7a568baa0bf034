"""Starting, following and stopping syncs, for callers without an event loop: the CLI and Dagster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.ids import renormalization_id, replay_id, workflow_id
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.closed_feed import ClosedSyncs, closed_since
from gtmc_pipelines.workflows.connection import connect, unreachable
from gtmc_pipelines.workflows.event_loop import EventLoopThread
from gtmc_pipelines.workflows.inputs import (
    CONNECTOR_KEY,
    DAGSTER_RUN_KEY,
    RENORMALIZE_WORKFLOW,
    SYNC_TYPE_KEY,
    SYNC_WORKFLOW,
    TENANT_KEY,
    SyncOutcome,
    SyncRequest,
    as_renormalization,
    as_replay,
)
from gtmc_pipelines.workflows.liveness import is_holding, is_running
from gtmc_pipelines.workflows.outcomes import outcome_of
from gtmc_pipelines.workflows.pollers import Poller, pollers_of, require_workers
from gtmc_pipelines.workflows.progress import Progress, follow
from gtmc_pipelines.workflows.stuck import Freed, free_stuck

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SyncHandle:
    """A started sync. `attached` is True when this very sync had been started before; `note` says so in words."""

    workflow_id: str
    run_id: str
    attached: bool = False
    note: str = ""


class SyncClient:
    """A connection to Temporal that blocking code can use from any thread. Every method may raise Misuse
    `temporal_unreachable`. Not to be carried over a fork.
    """

    def __init__(self, settings: Settings, client: Client, loop: EventLoopThread) -> None:
        self._settings = settings
        self._client = client
        self._loop = loop

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator[SyncClient]:
        """Connect for the length of a `with`. Raises Misuse within about five seconds if nobody answers."""
        loop = EventLoopThread()
        try:
            client = loop.run(connect(settings.required("temporal_address"), settings.temporal_namespace))
            yield cls(settings, client, loop)
        finally:
            loop.close()

    def start(self, request: SyncRequest, at: datetime) -> SyncHandle:
        """Start a sync, or attach to it if it was started for the same moment before.

        `at` is the schedule's tick or the creation time of the Dagster run, never now(): a caller
        that crashed and comes back lands on its own sync. Another sync of the same connector doesn't
        stop this from starting: the later one gives way, and `follow` and `outcome` go on with the winner.
        """
        return self._run(self._start(SYNC_WORKFLOW, request, workflow_id(request.tenant_id, request.connector_id, at)))

    def renormalize(self, request: SyncRequest, at: datetime) -> SyncHandle:
        """Make the canonical rows of the request's streams again from their raw rows, with today's mapping.

        The vendor is not called and the request's mode means nothing. Otherwise as `start`: the two
        exclude each other, and `follow`, `outcome` and `cancel` take either's handle.
        """
        name = renormalization_id(request.tenant_id, request.connector_id, at)
        return self._run(self._start(RENORMALIZE_WORKFLOW, as_renormalization(request), name))

    def replay(self, request: SyncRequest, at: datetime) -> SyncHandle:
        """Try open dead letters again, each once: those the request names, or all of its streams.

        Otherwise as `renormalize`.
        """
        name = replay_id(request.tenant_id, request.connector_id, at)
        return self._run(self._start(RENORMALIZE_WORKFLOW, as_replay(request), name))

    async def _start(self, workflow: str, request: SyncRequest, name: str) -> SyncHandle:
        try:
            handle = await self._client.start_workflow(
                workflow,
                replace(request, heartbeat_seconds=self._settings.heartbeat_seconds),
                id=name,
                task_queue=self._settings.task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                search_attributes=_attributes(request),
                static_summary=f"{request.kind.label}, {request.sync_type}, {request.tenant_id}",
            )
        except WorkflowAlreadyStartedError as error:
            return SyncHandle(name, error.run_id or "", True, f"{name} was started before: following it.")
        return SyncHandle(name, handle.first_execution_run_id or "")

    def follow(self, handle: SyncHandle | str, interval: float = 1.0) -> Iterator[Progress]:
        """Progress now, every `interval` seconds, and at the end at once; the last one is closed."""
        steps = follow(self._client, _id(handle), interval)
        try:
            while (step := self._run(_next(steps))) is not None:
                yield step
        finally:
            self._run(_closed(steps))

    def outcome(self, handle: SyncHandle | str, on_wait: Callable[[], None] | None = None) -> SyncOutcome:
        """Wait for the end. For a duplicate that is the winner's outcome, with `held_by` naming it.

        `on_wait` is called twice a second meanwhile and may raise to stop waiting; the server isn't asked for it.
        """
        return self._run(self._outcome(_id(handle)), on_wait=on_wait)

    def outcome_within(self, handle: SyncHandle | str, seconds: float) -> SyncOutcome | None:
        """The same, or None when it hasn't ended after `seconds`."""
        return self._run(_within(self._outcome(_id(handle)), seconds))

    async def _outcome(self, name: str) -> SyncOutcome:
        outcome = await outcome_of(self._client.get_workflow_handle(name))
        while outcome.held_by:
            winner = outcome.held_by
            outcome = await outcome_of(self._client.get_workflow_handle(winner))
            if not outcome.held_by:
                return replace(outcome, held_by=winner)
        return outcome

    def cancel(self, handle: SyncHandle | str, *, actor: str) -> None:
        """Ask a running sync to stop: it closes its books first, and the audit log names `actor` (`cli:<user>`,
        `dagster:<run>`). One that has ended is left alone.
        """
        self._run(self._client.get_workflow_handle(_id(handle)).cancel(reason=actor), gone_is_fine=True)

    def is_running(self, handle: SyncHandle | str) -> bool:
        """True while the workflow is open. Raises Retry when Temporal doesn't say."""
        return self._run(is_running(self._client, _id(handle)))

    def require_workers(self) -> None:
        """Raise Misuse when no worker polls the task queue: a sync would start and then nothing would happen."""
        self._run(require_workers(self._client, self._settings.task_queue))

    def worker_pollers(self) -> list[Poller]:
        """Workers polling the task queue, freshest first; see `Poller.is_fresh`."""
        return self._run(pollers_of(self._client, self._settings.task_queue))

    def closed_since(self, cursor: str | None, limit: int = 200) -> ClosedSyncs:
        """Syncs that have ended, each once, oldest first, with the cursor for the next call."""
        return self._run(closed_since(self._client, cursor, limit=limit))

    def free_stuck(self, database: Database) -> list[Freed]:
        """Free connectors on `syncing` whose workflow is gone. Raises Retry when Temporal doesn't say."""
        return free_stuck(database, lambda held: self._run(is_holding(self._client, held)))

    def _run(
        self,
        work: Coroutine[Any, Any, T],
        *,
        gone_is_fine: bool = False,
        on_wait: Callable[[], None] | None = None,
    ) -> T | Any:
        try:
            return self._loop.run(work, on_wait)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and gone_is_fine:
                return None
            raise self._refused(error) from None

    def _refused(self, error: RPCError) -> Misuse:
        if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED):
            return unreachable(self._settings.required("temporal_address"))
        if error.status is RPCStatusCode.NOT_FOUND:
            return Misuse(
                "unknown_workflow",
                "Temporal doesn't know this workflow or namespace.",
                next_step="Check TEMPORAL_NAMESPACE; `gtmc syncs list` shows what was recorded.",
            )
        return Misuse(
            "temporal_refused",
            f"Temporal refused the call ({error.status.name}).",
            next_step="Check that the namespace was prepared: python -m gtmc_pipelines.workflows.namespace",
        )


def workflow_url(settings: Settings, name: str, run_id: str = "") -> str:
    """Address of a workflow in the Temporal UI; empty when no UI is known (GTMC_TEMPORAL_UI_URL)."""
    if not settings.temporal_ui_url:
        return ""
    base = settings.temporal_ui_url.rstrip("/")
    path = f"{base}/namespaces/{quote(settings.temporal_namespace)}/workflows/{quote(name, safe='')}"
    return f"{path}/{run_id}/history" if run_id else path


def _attributes(request: SyncRequest) -> TypedSearchAttributes:
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(TENANT_KEY, request.tenant_id),
        SearchAttributePair(CONNECTOR_KEY, request.kind.value),
        SearchAttributePair(SYNC_TYPE_KEY, request.sync_type),
    ]
    if request.dagster_run_id:
        pairs.append(SearchAttributePair(DAGSTER_RUN_KEY, request.dagster_run_id))
    return TypedSearchAttributes(pairs)


def _id(handle: SyncHandle | str) -> str:
    return handle if isinstance(handle, str) else handle.workflow_id


async def _next(steps: AsyncIterator[Progress]) -> Progress | None:
    return await anext(steps, None)


async def _within(work: Coroutine[Any, Any, T], seconds: float) -> T | None:
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None


async def _closed(steps: Any) -> None:
    await steps.aclose()
