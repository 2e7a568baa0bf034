"""The activities as Temporal calls them: names, threads, and faults told as failures.

They run in threads; a cancel never interrupts one in the middle of a transaction, because each
looks for it between batches.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from gtmc_pipelines.model.phases import Phase, Trigger
from gtmc_pipelines.workflows.activities.due import list_due
from gtmc_pipelines.workflows.activities.finalize import finalize
from gtmc_pipelines.workflows.activities.open_sync import open_sync
from gtmc_pipelines.workflows.activities.pulse import Pulse
from gtmc_pipelines.workflows.activities.renormalize import (
    finalize_renormalize,
    open_renormalize,
    renormalize_segment,
)
from gtmc_pipelines.workflows.activities.replay import replay_segment
from gtmc_pipelines.workflows.activities.services import Services, faults_told
from gtmc_pipelines.workflows.activities.sync_segment import Segment
from gtmc_pipelines.workflows.inputs import (
    Beat,
    DueConnector,
    FinalizeRequest,
    ScheduledRequest,
    SegmentResult,
    SyncOutcome,
    SyncPlan,
    SyncRequest,
)


class SyncActivities:
    """One object a worker; `all` is what it registers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def all(self) -> list[Callable[..., Any]]:
        """Every activity of the task queue."""
        return [
            *(self.open_sync, self.sync_segment, self.finalize, self.list_due),
            *(self.open_renormalize, self.renormalize_segment, self.finalize_renormalize),
        ]

    @activity.defn(name="open_sync", no_thread_cancel_exception=True)
    def open_sync(self, request: SyncRequest, owner_run: str) -> SyncPlan:
        """See activities.open_sync."""
        with faults_told("opening the sync"):
            pulse = Pulse(Beat(Phase.AUTHENTICATING))
            return open_sync(self._services, request, activity.info().workflow_id or "", owner_run, pulse)

    @activity.defn(name="sync_segment", no_thread_cancel_exception=True)
    def sync_segment(self, request: SyncRequest, plan: SyncPlan) -> SegmentResult:
        """See activities.sync_segment."""
        with faults_told("reading and writing"):
            return Segment(self._services, request, plan, Pulse(Beat(Phase.SYNCING))).run()

    @activity.defn(name="finalize", no_thread_cancel_exception=True)
    def finalize(self, call: FinalizeRequest) -> SyncOutcome:
        """See activities.finalize."""
        with faults_told("closing the books"):
            return finalize(self._services, call, activity.info().workflow_id or "", datetime.now(UTC))

    @activity.defn(name="list_due", no_thread_cancel_exception=True)
    def list_due(self, request: ScheduledRequest) -> list[DueConnector]:
        """See activities.due."""
        with faults_told("listing connectors"):
            return list_due(self._services, request)

    @activity.defn(name="open_renormalize", no_thread_cancel_exception=True)
    def open_renormalize(self, request: SyncRequest, owner_run: str) -> SyncPlan:
        """See activities.renormalize."""
        with faults_told("opening the re-normalisation"):
            return open_renormalize(self._services, request, activity.info().workflow_id or "", owner_run)

    @activity.defn(name="renormalize_segment", no_thread_cancel_exception=True)
    def renormalize_segment(self, request: SyncRequest, plan: SyncPlan) -> SegmentResult:
        """See activities.renormalize and, for dead letters, activities.replay."""
        segment = replay_segment if request.trigger is Trigger.REPLAY else renormalize_segment
        with faults_told("re-normalising"):
            return segment(self._services, request, plan, Pulse(Beat(Phase.WRITING)))

    @activity.defn(name="finalize_renormalize", no_thread_cancel_exception=True)
    def finalize_renormalize(self, call: FinalizeRequest) -> SyncOutcome:
        """See activities.renormalize."""
        with faults_told("closing the books"):
            return finalize_renormalize(self._services, call, activity.info().workflow_id or "")
