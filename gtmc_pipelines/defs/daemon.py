"""Dagster's daemon as `gtmc up` starts it: it looks for backfills every few seconds, because who clicked is waiting.

Dagster's own looks every thirty, at the start, at the end and for a cancellation of a backfill, and has no setting for
it. `dagster-daemon` does the same work, only later. Its logs have one line an event, like ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dagster._daemon import controller
from dagster._daemon.cli import main

from gtmc_pipelines.defs.showing import one_line_logs

BACKFILLS_EVERY_SECONDS = 5
INTERVAL = "DEFAULT_DAEMON_INTERVAL_SECONDS"
LOGGING = "configure_loggers"


def run() -> None:
    """Run it with the arguments of `dagster-daemon`. A version of Dagster without these names keeps what it has."""
    if hasattr(controller, INTERVAL):
        setattr(controller, INTERVAL, BACKFILLS_EVERY_SECONDS)
    if hasattr(controller, LOGGING):
        setattr(controller, LOGGING, _folded(getattr(controller, LOGGING)))
    main()


def _folded(configure: Callable[..., None]) -> Callable[..., None]:
    def configure_and_fold(*args: Any, **options: Any) -> None:
        configure(*args, **options)
        one_line_logs()

    return configure_and_fold


if __name__ == "__main__":
    run()
