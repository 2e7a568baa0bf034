"""`gtmc`: composes the command line and turns errors into one sentence and an exit status."""

from __future__ import annotations

import sys

import typer

from gtmc_pipelines.cli import (
    connectors,
    dead_letters,
    demo,
    sandbox_command,
    stack_commands,
    syncs,
    tenants,
    worker_command,
)
from gtmc_pipelines.cli.console import fail
from gtmc_pipelines.model.errors import GtmcError

app = typer.Typer(
    name="gtmc",
    help="Bring Salesforce, Customer.io, Delivr.ai, Office 365 and Fathom.video into one canonical schema.\n\n"
    "Start with `gtmc up` (everything on this machine) or `gtmc demo` (the same, with data and a check).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _group in (stack_commands, demo, tenants, connectors, syncs, dead_letters, worker_command, sandbox_command):
    _group.register(app)


def run() -> None:
    """Entry point: exit status 0 done, 1 failed with a sentence on stderr, 2 wrong usage."""
    try:
        app()
    except GtmcError as error:
        sys.exit(fail(error).exit_code)


if __name__ == "__main__":
    run()
