"""`gtmc connectors rebind`: let a connector's stored credentials be sent to another address."""

from __future__ import annotations

from typing import Annotated

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.confirming import ConfirmAddress, confirm_hosts
from gtmc_pipelines.cli.console import AsJson, Tenant, emit_json, say, say_unbroken
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.connectors.options import parse_options
from gtmc_pipelines.connectors.registry import options_of
from gtmc_pipelines.model.noted_addresses import host_shown
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.workflows.rebinding import plan_rebinding
from gtmc_pipelines.workflows.rebinding import rebind as move


def rebind(
    tenant: Tenant,
    connector: Annotated[str, typer.Option("--connector", "-c", help="Type or id of the connector.")],
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="A setting to change, name=value.")] = None,
    confirm_address: ConfirmAddress = None,
    as_json: AsJson = False,
) -> None:
    """Move stored credentials to where the connector's settings lead now: shows old and new address, and asks.

    They are sent nowhere else than where they were proven, whoever changes an option or a variable. This is the way
    to change that; it is in the audit log. --confirm-address answers for each new host where nobody can be asked.
    """
    with opened() as (settings, database):
        row = require_connector(database, tenant, connector)
        options = parse_options(options_of(row.type), option or (), settings.allowed_sandbox_hosts)
        planned = plan_rebinding(settings, database, row, options)
        if not as_json:
            _say(f"confirmed until now: {', '.join(planned.former) or 'none'}")
            _say(f"from now on: {', '.join(planned.wanted)}")
        new = tuple(dict.fromkeys(map(host_shown, planned.new)))
        confirm_hosts(new, confirm_address or (), can_ask=not as_json)
        move(settings, database, planned, actor=cli_actor())
    if as_json:
        emit_json({"id": row.id, "former": planned.former, "addresses": planned.wanted, "new": planned.new})
        return
    say("[green]✓[/green] {} of {} is bound to these addresses.", row.type.label, tenant)
    _say(f"Next: gtmc connectors verify --tenant {tenant} --connector {row.type}")


def _say(text: str) -> None:
    say_unbroken("  {}", text)
