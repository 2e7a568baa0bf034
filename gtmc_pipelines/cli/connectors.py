"""`gtmc connectors`: add, connect, verify, list, show and disconnect. Never prints a secret.

`schedule`, `export`, `apply` and `rebind` have files of their own.
"""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.connector_files import apply, export
from gtmc_pipelines.cli.connector_rebind import rebind
from gtmc_pipelines.cli.connector_schedule import schedule
from gtmc_pipelines.cli.console import AsJson, Tenant, emit, emit_json, say, say_unbroken, stoppable, warn
from gtmc_pipelines.cli.key_input import read_keys
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.loopback import WAIT_SECONDS
from gtmc_pipelines.connectors.options import parse_options
from gtmc_pipelines.connectors.registry import connector_type, login_of, options_of
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.records import Health
from gtmc_pipelines.storage.connectors import (
    ConnectorRow,
    add_connector,
    draft_connector,
    list_connectors,
    require_connector,
)
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows import authorization

group = typer.Typer(help="Connectors: one per vendor and tenant.", no_args_is_help=True)

Connector = Annotated[str, typer.Option("--connector", "-c", help="Type or id of the connector.")]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="File with the API key; '-' reads stdin. Unset: a prompt.")
]
MayShare = Annotated[
    bool,
    typer.Option(
        "--allow-shared-account", help="As the operator: another tenant may have connected this account, too."
    ),
]
_COLUMNS = ("tenant", "type", "status", "schedule", "last_sync_at", "last_sync_error")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    for command in (schedule, export, apply, rebind):
        group.command(command.__name__)(command)
    app.add_typer(group, name="connectors")


@group.command("add")
def add(
    tenant: Tenant,
    type_: Annotated[str, typer.Option("--type", help="salesforce, customerio, delivrai, o365 or fathom.")],
    name: Annotated[str | None, typer.Option("--name", help="Name for people.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="A setting, name=value.")] = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a connector. One that takes an API key is connected at once: from --key-file, or asked for at a terminal.

    The key is tried at the vendor first; when it doesn't work, nothing is added.
    """
    kind = connector_type(type_)
    with opened() as (settings, database):
        login = login_of(kind)
        if key_file is not None and not isinstance(login, KeyLogin):
            raise Misuse("connected_in_browser", f"{kind.label} is connected in the browser, not by a key.")
        options = parse_options(options_of(kind), option or (), settings.allowed_sandbox_hosts)
        draft = draft_connector(database, tenant, kind, name, options)
        proven = None
        if isinstance(login, KeyLogin) and (key_file is not None or _asks_at_once(as_json)):
            proven = authorization.prove_keys(settings, draft, read_keys(login, key_file))
        row = add_connector(database, tenant, kind, name, options, actor=cli_actor())
        if proven is not None:
            authorization.connect_by_keys(settings, database, row, proven, actor=cli_actor())
            row = require_connector(database, tenant, row.id)
    if as_json:
        emit_json(_shown(row))
        return
    say("[green]✓[/green] {} added for {}: {}", kind.label, tenant, row.id)
    if proven is not None:
        _tell_health(proven.health)
    _say(f"Next: {_after_adding(row)}")


@group.command("connect")
def connect(
    tenant: Tenant,
    connector: Connector,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
    login_hint: Annotated[str, typer.Option("--login-hint", help="User name the login page should offer.")] = "",
    key_file: KeyFile = None,
    may_share: MayShare = False,
    as_json: AsJson = False,
) -> None:
    """Connect by a login in the browser, or by an API key from a file, stdin or a prompt."""
    with opened() as (settings, database), stoppable("Stopped; nothing was stored, the connector is as it was."):
        row = require_connector(database, tenant, connector)
        login = login_of(row.type)
        if isinstance(login, KeyLogin):
            keys = read_keys(login, key_file)
            done = authorization.connect_by_keys(settings, database, row, keys, actor=cli_actor(), may_share=may_share)
        else:
            done = authorization.connect_in_browser(
                settings,
                database,
                row,
                show=lambda url: _show(url, no_browser, as_json),
                actor=cli_actor(),
                login_hint=login_hint,
                may_share=may_share,
            )
        row = require_connector(database, tenant, row.id)
    if as_json:
        emit_json(
            {
                **_shown(row),
                "scopes": done.scopes,
                "required_scopes": done.required_scopes,
                "proven": done.health.is_healthy,
                "starts_over": done.starts_over,
                "owner": done.owner,
            }
        )
        return
    _tell_connected(row, done)


@group.command("verify")
def verify(tenant: Tenant, connector: Connector, as_json: AsJson = False) -> None:
    """Probe the vendor with the stored credentials."""
    with opened() as (settings, database):
        health = authorization.verify(
            settings, database, require_connector(database, tenant, connector), actor=cli_actor()
        )
    if as_json:
        emit_json({"healthy": health.is_healthy, "url": health.url, "detail": health.detail, **health.facts})
        return
    say("[green]✓[/green] {}", health.detail)
    _tell_health(health)


@group.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")] = None,
    as_json: AsJson = False,
) -> None:
    """List connectors, of all tenants unless one is named."""
    with opened() as (_, database):
        if tenant is not None:
            require_tenant(database, tenant)
        found = list_connectors(database, tenant)
    shown = [_shown(row, options=tenant is not None) for row in found]
    if not as_json:
        shown = [{**row, "schedule": row["schedule"] or "default"} for row in shown]
    add_one = f"Add one: gtmc connectors add --tenant {tenant or '<id>'} --type salesforce"
    emit(shown, _COLUMNS, as_json=as_json, title="connectors", when_none=add_one)


@group.command("show")
def show(tenant: Tenant, connector: Connector, as_json: AsJson = False) -> None:
    """Show one connector with its settings, without its secrets."""
    with opened() as (_, database):
        row = _shown(require_connector(database, tenant, connector))
    if as_json:
        emit_json(row)
        return
    rows = [{"field": name, "value": value} for name, value in row.items() if name != "options"]
    rows += [{"field": f"option {name}", "value": value} for name, value in sorted(row["options"].items())]
    emit(rows, ("field", "value"), as_json=False)


@group.command("disconnect")
def disconnect(tenant: Tenant, connector: Connector, as_json: AsJson = False) -> None:
    """Revoke the connection at the vendor and forget its secrets; synced rows stay."""
    with opened() as (settings, database):
        row = require_connector(database, tenant, connector)
        told = authorization.disconnect(settings, database, row, actor=cli_actor())
    if as_json:
        emit_json({"id": row.id, "status": "disconnected", "revocation": told})
    else:
        say("[green]✓[/green] {} disconnected ({}).", row.type.label, told)
        _say(f"Its rows stay. To go on: {_command('connectors connect', row)}")


def _tell_connected(row: ConnectorRow, done: authorization.Connected) -> None:
    say("[green]✓[/green] {} connected for {}.", row.type.label, row.tenant_id)
    if done.owner:
        _say(f"reads from: {done.owner}")
    if done.required_scopes:
        _say(f"scopes granted: {' '.join(done.scopes) or 'not stated'}; required: {' '.join(done.required_scopes)}")
    if "instance_url" in done.options:
        _say(f"instance: {done.options['instance_url']}")
    if done.health.is_healthy:
        _tell_health(done.health)
    else:
        _say(f"Not tried yet. {done.health.detail}")
    if done.starts_over:
        _say("It may be another account now, so the next sync reads everything.")
    _say(f"Next: {_after_connecting(row)}")


def _asks_at_once(as_json: bool) -> bool:
    return sys.stdin.isatty() and not as_json


def _show(url: str, no_browser: bool, as_json: bool) -> None:
    """Print the address on a line of its own, unwrapped; with --json on stderr, so that stdout stays JSON."""
    tell = warn if as_json else say_unbroken
    tell("Open this address to log in:")
    tell("{}", url)
    if not no_browser and not webbrowser.open(url):
        warn("No browser could be started here; open the address yourself.")
    minutes = f"{WAIT_SECONDS / 60:.0f} minutes"
    warn("[dim]Waiting for the login, {} at most; Ctrl-C gives up.[/dim]", minutes)


def _after_adding(row: ConnectorRow) -> str:
    """The command that comes next: a key is proven already, Office 365 wants its agreement first."""
    if row.status != "disconnected":
        return _after_connecting(row)
    return (
        f"gtmc o365 accept-dpa --tenant {row.tenant_id}" if row.type == "o365" else _command("connectors connect", row)
    )


def _after_connecting(row: ConnectorRow) -> str:
    return f"{_command('mappings show', row)}, or at once: {_command('sync', row)}"


def _command(name: str, row: ConnectorRow) -> str:
    return f"gtmc {name} --tenant {row.tenant_id} --connector {row.type}"


def _tell_health(health: Health) -> None:
    _say(f"asked: {health.url}")
    for name, value in health.facts.items():
        _say(f"{name.replace('_', ' ')}: {value}")


def _say(text: str) -> None:
    say_unbroken("  {}", text)


def _shown(row: ConnectorRow, *, options: bool = True) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "tenant": row.tenant_id,
        "type": row.type.value,
        "name": row.name,
        "status": row.status.value,
        "last_sync_at": row.last_sync_at,
        "last_sync_error": row.last_sync_error,
        "error_code": row.error_code,
        "schedule": row.schedule_cron,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
    return {**shown, "options": dict(row.options)} if options else shown
