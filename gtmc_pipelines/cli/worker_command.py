"""gtmc worker: runs syncs until it is stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from gtmc_pipelines.settings import load_settings


def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Syncs at once. Default: GTMC_WORKER_CONCURRENCY.")
    ] = None,
) -> None:
    """Run syncs from the task queue until Ctrl-C. Start as many as you like, on as many machines."""
    from gtmc_pipelines.workflows.worker import run_worker  # the SDK costs half a second: only who needs it pays

    run_worker(load_settings(), concurrency=concurrency, on_ready=typer.echo)


def register(app: typer.Typer) -> None:
    """Add the command to `gtmc`."""
    app.command("worker")(worker)
