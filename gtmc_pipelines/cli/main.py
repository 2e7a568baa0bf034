"""`gtmc`: composes the command line and turns errors into one sentence and an exit status."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from gtmc_pipelines.cli.console import fail
from gtmc_pipelines.cli.examples import teach
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.vault.log_lines import set_up_logging

COMMANDS = {
    "up": "stack_commands",
    "doctor": "stack_commands",
    "demo": "demo",
    "tenants": "tenants",
    "people": "people",
    "connectors": "connectors",
    "sync": "syncs",
    "syncs": "syncs",
    "mappings": "mappings",
    "o365": "o365",
    "dead-letters": "dead_letters",
    "failed-values": "failed_values",
    "keys": "keys",
    "audit": "audit_log",
    "migrate": "migrate_command",
    "upgrade-data": "upgrade_data",
    "worker": "worker_command",
    "sandbox": "sandbox_command",
}
"""Command (or group) → the file of this room that registers it."""


class OnDemand(TyperGroup):
    """Imports a command's file when the command is asked for: `gtmc sandbox` needn't wait for Temporal's client."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All commands, in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command. A wrong name fails with status 2 and names the near ones."""
        if cmd_name not in COMMANDS:
            near = get_close_matches(cmd_name, COMMANDS, n=2)
            ctx.fail(f"No such command {cmd_name!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))
        part = typer.Typer()
        import_module(f"gtmc_pipelines.cli.{COMMANDS[cmd_name]}").register(part)
        command = get_group(part).commands[cmd_name]
        teach(command, cmd_name)
        return command


app = typer.Typer(
    name="gtmc",
    cls=OnDemand,
    help="Bring Salesforce, Customer.io, Delivr.ai, Office 365 and Fathom.video into one canonical schema.\n\n"
    "Start with `gtmc up` (everything on this machine) or `gtmc demo` (the same, with data and a check).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _gtmc() -> None:
    """Make it a group of commands."""


def run() -> None:
    """Entry point: exit status 0 done, 1 failed with a sentence on stderr, 2 wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode still gets every sentence
    set_up_logging("WARNING")
    try:
        app()
    except GtmcError as error:
        sys.exit(fail(error).exit_code)


if __name__ == "__main__":
    run()
