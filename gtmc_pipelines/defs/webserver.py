"""Dagster's webserver behind the guard: `dagster-webserver` with all its options, and the refusals of guard.py.

It is started so by `gtmc up`, and in production: python -m gtmc_pipelines.defs.webserver -h 127.0.0.1 -p 3000 …
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

from dagster_webserver import cli

from gtmc_pipelines.defs.guard import App, Guard, own_addresses
from gtmc_pipelines.defs.showing import one_line_logs
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import load_settings


def run() -> None:
    """Run it with the arguments of `dagster-webserver`. `gtmc up` and `gtmc doctor` try whether the guard is there."""
    try:
        addresses = load_settings().dagster_addresses
    except Misuse as error:
        sys.exit(f"{error.sentence} {error.next_step}")
    program: Any = cli
    serve = program.uvicorn.run

    def serve_guarded(app: App, *, port: int, **options: Any) -> None:
        one_line_logs()
        serve(Guard(app, own_addresses(port, addresses)), port=port, **options)

    program.uvicorn = SimpleNamespace(run=serve_guarded)
    program.main()


if __name__ == "__main__":
    run()
