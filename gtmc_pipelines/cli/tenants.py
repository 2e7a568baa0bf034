"""`gtmc tenants`: add, list and remove the tenants whose connectors are synced."""

from __future__ import annotations

from typing import Annotated

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, emit, emit_json, say, say_unbroken
from gtmc_pipelines.cli.tenant_removal import remove
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.engine import open_database
from gtmc_pipelines.storage.tenants import add_tenant, list_tenants

group = typer.Typer(help="Tenants: the customers whose data is kept apart.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    group.command("remove")(remove)
    app.add_typer(group, name="tenants")


@group.command("add")
def add(
    tenant_id: Annotated[str, typer.Argument(help="Lower-case letters, digits, '-' and '_'; it is a partition key.")],
    name: Annotated[str | None, typer.Option("--name", help="Name for people.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a tenant."""
    database = open_database(load_settings().required("database_url"), pool_size=1)
    try:
        tenant = add_tenant(database, tenant_id, name, actor=cli_actor())
    finally:
        database.close()
    if as_json:
        emit_json({"id": tenant.id, "name": tenant.name, "created_at": tenant.created_at})
    else:
        say("[green]✓[/green] Tenant [bold]{}[/bold] added.", tenant.id)
        add_one = f"gtmc connectors add --tenant {tenant.id} --type salesforce"
        say_unbroken("  Next: {} (or customerio, delivrai, o365, fathom)", add_one)


@group.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all tenants."""
    database = open_database(load_settings().required("database_url"), pool_size=1)
    try:
        found = list_tenants(database)
    finally:
        database.close()
    rows = [{"id": tenant.id, "name": tenant.name, "created_at": tenant.created_at} for tenant in found]
    emit(
        rows, ("id", "name", "created_at"), as_json=as_json, title="tenants", when_none="Add one: gtmc tenants add <id>"
    )
