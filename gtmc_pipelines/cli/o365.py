"""`gtmc o365`: the data-processing agreement and the domains whose people may be kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.actor import acting_for, user_name
from gtmc_pipelines.cli.console import AsJson, Tenant, emit_json, say, say_unbroken
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.o365 import O365Config, accept_dpa, add_domains, get_config, remove_domains, withdraw_dpa
from gtmc_pipelines.storage.tenants import require_tenant

DPA_VERSION = "1"
"""The agreement's version that is accepted when none is named."""

group = typer.Typer(help="Office 365: agreement and allowed domains.", no_args_is_help=True)
domains = typer.Typer(help="Domains whose people may be kept; an empty list keeps nothing.", no_args_is_help=True)
group.add_typer(domains, name="domains")

By = Annotated[str | None, typer.Option("--by", help="Who decides; unset: the user of this machine.")]
Names = Annotated[list[str], typer.Argument(help="Domains, for example partner.com.", metavar="DOMAIN...")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="o365")


@group.command("accept-dpa")
def accept(
    tenant: Tenant,
    version: Annotated[str, typer.Option("--version", help="Version of the agreement.")] = DPA_VERSION,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Accept the data-processing agreement for a tenant. Without it nothing is ever asked of Office 365."""
    with _opened(tenant) as database:
        config = accept_dpa(
            database,
            tenant,
            actor=acting_for(by),
            accepted_by=by or user_name(),
            dpa_version=version,
            at=datetime.now(UTC),
        )
    if as_json:
        emit_json(_shown(tenant, config))
        return
    say("[green]✓[/green] Agreement {} accepted for {} by {}.", version, tenant, config.dpa_accepted_by)
    if not config.allowed_domains:
        _say(f"No domain is allowed yet, so nothing is kept. Next: gtmc o365 domains add --tenant {tenant} partner.com")


@group.command("withdraw-dpa")
def withdraw(tenant: Tenant, by: By = None, as_json: AsJson = False) -> None:
    """Withdraw the agreement. A running sync stops at its next batch; rows already kept stay."""
    with _opened(tenant) as database:
        was_in_force = withdraw_dpa(
            database, tenant, actor=acting_for(by), withdrawn_by=by or user_name(), at=datetime.now(UTC)
        )
    if as_json:
        emit_json({"tenant": tenant, "withdrawn": was_in_force})
    elif was_in_force:
        say("[green]✓[/green] Agreement withdrawn for {}; nothing more is read.", tenant)
    else:
        say("No agreement was in force for {}.", tenant)


@domains.command("add")
def add(
    tenant: Tenant,
    names: Names,
    own: Annotated[str | None, typer.Option("--own", help="The tenant's own domain: always left out.")] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Allow domains: people on exactly these are kept from now on, and back to the look-back at the next sync."""
    with _opened(tenant) as database:
        added, own_domain = [_checked(name) for name in names], _checked(own) if own else None
        config = add_domains(database, tenant, added, own_domain, actor=acting_for(by))
    _tell(tenant, config, as_json)


@domains.command("remove")
def remove(tenant: Tenant, names: Names, by: By = None, as_json: AsJson = False) -> None:
    """Take domains off the list. Rows already kept stay; nothing of them is read any more."""
    with _opened(tenant) as database:
        config = remove_domains(database, tenant, [_checked(name) for name in names], actor=acting_for(by))
    _tell(tenant, config, as_json)


@domains.command("list")
def list_(tenant: Tenant, as_json: AsJson = False) -> None:
    """Show the agreement, the allowed domains and the tenant's own."""
    with _opened(tenant) as database, database.tenant(tenant) as handle:
        config = get_config(handle, tenant)
    _tell(tenant, config, as_json)


@contextmanager
def _opened(tenant: str) -> Iterator[Database]:
    database = open_database(load_settings().required("database_url"), pool_size=1)
    try:
        require_tenant(database, tenant)
        yield database
    finally:
        database.close()


def _checked(text: str) -> str:
    domain = plain_domain(text)
    if domain is None:
        raise Misuse("bad_domain", f"{text[:80]!r} is no domain.", next_step="Write it like partner.com, no stars.")
    return domain


def _tell(tenant: str, config: O365Config, as_json: bool) -> None:
    shown = _shown(tenant, config)
    if as_json:
        emit_json(shown)
        return
    at = config.dpa_accepted_at
    accepted = f"accepted {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC by {config.dpa_accepted_by}" if at else ""
    _say(f"agreement: {accepted or 'not accepted: nothing is read'}")
    _say(f"allowed domains: {', '.join(config.allowed_domains) or 'none: nothing is kept'}")
    _say(f"own domain: {config.tenant_o365_domain or 'as the directory says'}")


def _shown(tenant: str, config: O365Config) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "dpa_accepted_at": config.dpa_accepted_at,
        "dpa_accepted_by": config.dpa_accepted_by if config.is_accepted else None,
        "dpa_version": config.dpa_version if config.is_accepted else None,
        "revoked_at": config.revoked_at,
        "allowed_domains": list(config.allowed_domains),
        "own_domain": config.tenant_o365_domain,
    }


def _say(text: str) -> None:
    say_unbroken("  {}", text)
