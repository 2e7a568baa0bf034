"""`gtmc connectors schedule`: a cron of a connector's own, or the default cadence again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, Tenant, emit, emit_json, say
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.model.cadence import DEFAULT_CRON, next_times
from gtmc_pipelines.storage.connector_states import set_schedule
from gtmc_pipelines.storage.connectors import require_connector


def schedule(
    tenant: Tenant,
    connector: Annotated[str, typer.Option("--connector", "-c", help="Type or id of the connector.")],
    cron: Annotated[str | None, typer.Option("--cron", help="Five fields, at most every five minutes.")] = None,
    timezone: Annotated[str, typer.Option("--timezone", help="Zone the cron is read in.")] = "UTC",
    default: Annotated[bool, typer.Option("--default", help=f"Back to the default, {DEFAULT_CRON} UTC.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sync a connector by a cron of its own, or by the default cadence again; shows the next five times."""
    if default == (cron is not None):
        raise typer.BadParameter("give either --cron or --default, for example --cron '0 6 * * *'")
    zone = "UTC" if default else timezone
    moments = next_times(cron or DEFAULT_CRON, zone, datetime.now(UTC))
    with opened() as (_, database):
        row = require_connector(database, tenant, connector)
        if (row.schedule_cron, row.schedule_timezone) != (cron, zone):
            set_schedule(database, tenant, row.id, cron, zone, actor=cli_actor())
    if as_json:
        shown = {"connector": row.id, "cron": cron, "timezone": zone, "is_default": default}
        emit_json({**shown, "next": [moment.isoformat() for moment in moments]})
        return
    what = f"by default, {DEFAULT_CRON}" if default else f"by {cron}"
    say("[green]✓[/green] {} of {} syncs {} ({}).", row.type.label, tenant, what, zone)
    rows = [{"next": f"{moment:%a %Y-%m-%d %H:%M %Z}", "utc": moment.astimezone(UTC)} for moment in moments]
    emit(rows, ("next", "utc"), as_json=False)
