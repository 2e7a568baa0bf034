"""The pulse of a running activity: it beats while work goes on, and says when to stop."""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import CancelledError

from gtmc_pipelines.workflows.inputs import Beat


class Pulse:
    """Sends heartbeats (the SDK thins them out) and notices cancels. Only between batches, never inside one."""

    def __init__(self, beat: Beat) -> None:
        self.beat = beat

    def __call__(self) -> None:
        """Beat once. Raises CancelledError when the sync was cancelled, or when the server gave this attempt up."""
        activity.heartbeat(self.beat)
        if activity.is_cancelled() and not self.is_stopping:
            raise CancelledError("sync cancelled")

    @property
    def is_stopping(self) -> bool:
        """True when this worker is shutting down: hand over at the checkpoint, another one goes on."""
        details = activity.cancellation_details()
        was_asked = details is not None and details.cancel_requested
        return activity.is_worker_shutdown() and not was_asked
