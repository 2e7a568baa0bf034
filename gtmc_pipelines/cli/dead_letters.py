"""`gtmc dead-letters`: the records that could not be written, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.console import AsJson, Tenant, console, emit, emit_json
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.dead_letters import DeadLetter, list_letters, require_letter
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.tenants import require_tenant

OF_A_TENANT = ("id", "connector", "stream", "external_id", "reason_code", "attempts", "last_seen_at")
OF_ALL = ("id", "tenant_id", "connector", "stream", "reason_code", "attempts", "last_seen_at")

group = typer.Typer(help="Records that could not be written, and why.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="dead-letters")


@group.command("list")
def list_command(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant's; record ids show.")] = None,
    connector: Annotated[str | None, typer.Option("--connector", "-c", help="Type or id; needs --tenant.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Those written after all, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Dead letters that are still open, newest first."""
    if connector is not None and tenant is None:
        raise typer.BadParameter("give --tenant with --connector")
    with _database() as database:
        connector_id = None
        if tenant is not None:
            require_tenant(database, tenant)
            connector_id = None if connector is None else require_connector(database, tenant, connector).id
        letters = list_letters(database, tenant, connector_id, only_open=not show_all, limit=limit)
    columns = OF_ALL if tenant is None else OF_A_TENANT
    emit([_plain(letter) for letter in letters], columns, as_json=as_json, title="Dead letters")


@group.command("show")
def show_command(
    letter_id: Annotated[int, typer.Argument(help="Id, as `gtmc dead-letters list` prints it.")],
    tenant: Tenant,
    with_payload: Annotated[
        bool, typer.Option("--with-payload", help="The record too, if it was kept here: personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """One dead letter: what failed, why, how often, and when."""
    with _database() as database:
        require_tenant(database, tenant)
        letter = require_letter(database, tenant, letter_id)
    values = _plain(letter)
    if with_payload:
        values["payload"] = letter.payload
    if as_json:
        emit_json(values)
        return
    for name, value in values.items():
        console.print(f"{name.replace('_', ' '):>14}  {'-' if value is None else value}", markup=False, highlight=False)


def _plain(letter: DeadLetter) -> dict[str, Any]:
    """Everything but the payload, which is personal data."""
    return {name: value for name, value in asdict(letter).items() if name != "payload"}


@contextmanager
def _database() -> Iterator[Database]:
    database = open_database(load_settings().required("database_url"), pool_size=1)
    try:
        yield database
    finally:
        database.close()
