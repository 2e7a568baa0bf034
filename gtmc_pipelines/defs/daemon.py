"""Dagster's daemon as `gtmc up` starts it: it looks for backfills every few seconds, because who clicked is waiting.

Dagster's own looks every thirty, at the start, at the end and for a cancellation of a backfill, and has no setting for
it. `dagster-daemon` does the same work, only later.
"""

from __future__ import annotations

from dagster._daemon import controller
from dagster._daemon.cli import main

BACKFILLS_EVERY_SECONDS = 5
INTERVAL = "DEFAULT_DAEMON_INTERVAL_SECONDS"


def run() -> None:
    """Run it with the arguments of `dagster-daemon`. A version of Dagster without that name keeps its own interval."""
    if hasattr(controller, INTERVAL):
        setattr(controller, INTERVAL, BACKFILLS_EVERY_SECONDS)
    main()


if __name__ == "__main__":
    run()
