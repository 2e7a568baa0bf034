"""`gtmc tenants remove`: takes a tenant's logins back at the vendors and deletes everything kept of it."""

from __future__ import annotations

from typing import Annotated

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, emit_json, say
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.cli.people import confirm, progress
from gtmc_pipelines.storage.connectors import list_connectors
from gtmc_pipelines.storage.tenant_removal import refuse_while_syncing, remove_tenant
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows import authorization


def remove(
    tenant_id: Annotated[str, typer.Argument(help="Tenant id, as in `gtmc tenants list`.", metavar="TENANT")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask for the tenant's id.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a tenant and everything kept of it; one row of its audit log stays. Interrupted, it can be run again."""
    with opened(pool_size=2) as (settings, database):
        require_tenant(database, tenant_id)
        refuse_while_syncing(database, tenant_id)
        if not yes:
            confirm(tenant_id, f"This deletes everything kept of {tenant_id}; it can't be undone.")
        told = {}
        for row in list_connectors(database, tenant_id):
            told[row.type.value] = authorization.disconnect(settings, database, row, actor=cli_actor())
            if not as_json:
                say("  {}: {}", row.type, told[row.type.value])
        counts = remove_tenant(database, tenant_id, actor=cli_actor(), progress=progress(as_json))
    if as_json:
        emit_json({"tenant": tenant_id, "connectors": told, "removed": counts})
    else:
        say("[green]✓[/green] Tenant [bold]{}[/bold] removed: {:,} rows.", tenant_id, sum(counts.values()))
