"""Workflows that need a connector to themselves: one that gave way to a running sync is started again after it."""

from __future__ import annotations

from collections.abc import Callable

import typer

from gtmc_pipelines.cli.console import warn
from gtmc_pipelines.cli.sync_views import watch
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.workflows.client import SyncClient, SyncHandle
from gtmc_pipelines.workflows.inputs import SyncOutcome

MOST_STARTS = 5
"""How often a running sync of the connector is waited for before giving up."""


def in_turn(
    client: SyncClient, start: Callable[[], SyncHandle], *, then: str, command: str, is_quiet: bool
) -> tuple[str, SyncOutcome]:
    """Name and outcome of a workflow that began after this call. `then` says what comes after the sync waited for.

    Raises Misuse `connector_busy` when there was always another sync; exits with status 130 when interrupted.
    """
    for _ in range(MOST_STARTS):
        handle = start()
        try:
            watch(client.follow(handle, 0.5), is_quiet=is_quiet)
        except KeyboardInterrupt:
            warn("Not followed any more; it goes on: gtmc syncs show {}", handle.workflow_id)
            raise typer.Exit(130) from None
        outcome = client.outcome(handle)
        if not outcome.held_by:
            return handle.workflow_id, outcome
        warn("{} was running and has ended; now {}.", outcome.held_by, then)
    raise Misuse(
        "connector_busy",
        "Each time another sync of the connector was running already.",
        next_step=f"Run `{command}` again once its syncs have ended; `gtmc syncs list` shows them.",
    )
