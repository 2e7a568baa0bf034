"""`gtmc keys`: makes a key that seals stored tokens."""

from __future__ import annotations

import sys

import typer

from gtmc_pipelines.vault.keyring import generate_key_hex

group = typer.Typer(help="Keys that seal stored tokens.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="keys")


@group.callback()
def _keys() -> None:
    """Keep it a group while it has one command."""


@group.command("generate")
def generate() -> None:
    """Print a fresh key for CONNECTOR_ENCRYPTION_KEY, alone on its line. Keep it: without it no token can be opened."""
    sys.stdout.write(generate_key_hex() + "\n")
