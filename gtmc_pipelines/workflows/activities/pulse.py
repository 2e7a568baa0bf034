"""The pulse of a running activity: it beats while work goes on, and says when to stop."""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import CancelledError

from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.workflows.inputs import Beat

WORKER_STOPPING = "worker_stopping"


class Pulse:
    """Sends heartbeats (the SDK thins them out) and notices when to stop. Only between batches, never inside one."""

    def __init__(self, beat: Beat) -> None:
        self.beat = beat

    def __call__(self) -> None:
        """Beat once.

        Raises CancelledError when the sync was cancelled, or when the server gave this attempt up;
        Retry `worker_stopping` when this process is shutting down and another one should go on.
        """
        activity.heartbeat(self.beat)
        details = activity.cancellation_details()
        if activity.is_worker_shutdown() and not (details is not None and details.cancel_requested):
            raise Retry(WORKER_STOPPING, "This worker is being stopped; another one goes on.", after_seconds=0.1)
        if activity.is_cancelled():
            raise CancelledError("sync cancelled")
