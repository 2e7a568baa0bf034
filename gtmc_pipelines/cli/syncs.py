"""`gtmc sync` runs one sync and shows it; `gtmc syncs` lists and shows those that were."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.console import AsJson, Tenant, emit, emit_json, fail, say, say_unbroken
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.cli.sync_views import balance_sheet, left_out, log_row, tell_failed_values, usage_text, watch
from gtmc_pipelines.connectors.registry import connector_type
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import ConnectorRow, require_connector
from gtmc_pipelines.storage.sync_history import list_syncs, require_sync
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows.client import SyncClient, SyncHandle, workflow_url
from gtmc_pipelines.workflows.inputs import SyncOutcome, SyncRequest

group = typer.Typer(help="Past and running syncs.", no_args_is_help=True)

Connector = Annotated[str, typer.Option("--connector", "-c", help="Type or id of the connector.")]
SyncId = Annotated[str, typer.Argument(metavar="ID", help="Id of a sync (its beginning will do), or of its workflow.")]
_CLOSING_SECONDS = 30.0
_COLUMNS = ("id", "started_at", "tenant", "connector", "sync", "written", "failed", "seconds")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ID_CHARACTERS = 8  # enough to tell syncs apart, and `gtmc syncs show` takes them


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.command("sync")(sync)
    app.add_typer(group, name="syncs")


def sync(
    tenant: Tenant,
    connector: Connector,
    full: Annotated[bool, typer.Option("--full", help="Read everything, not only what changed.")] = False,
    stream: Annotated[list[str] | None, typer.Option("--stream", "-s", help="Only this stream; repeatable.")] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm-deletions", help="With --full: mark what is missing, however much it is.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the sync to its end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Sync one connector now and show how it went."""
    if confirm and not full:
        raise typer.BadParameter(
            "needs --full: only a full sync can tell what is gone.", param_hint="--confirm-deletions"
        )
    with opened() as (settings, database):
        row = require_connector(database, tenant, connector)
        _refuse_what_cant_start(row, stream or ())
        with SyncClient.open(settings) as client:
            client.require_workers()
            mode = SyncMode.FULL if full else SyncMode.INCREMENTAL
            request = replace(_request(row, mode, tuple(stream or ())), confirm_deletions=confirm)
            handle = client.start(request, datetime.now(UTC))  # the moment the command was given
            if not wait:
                _announce(settings, handle, as_json)
                return
            outcome = _follow(settings, client, handle, as_json)
    if not outcome.is_success:
        raise fail(GtmcError(outcome.error_code, outcome.error, next_step=outcome.next_step))


def _refuse_what_cant_start(row: ConnectorRow, streams: Sequence[str]) -> None:
    """Raise Misuse for a typo or a connector without credentials: neither deserves a failed sync on record."""
    known = [stream.name for stream in STREAMS[row.type]]
    for name in streams:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise Misuse(
                "unknown_stream",
                f"{row.type.label} has no stream {name!r}.",
                next_step=f"Did you mean {near[0]}?" if near else f"It has {', '.join(known)}.",
            )
    if row.status is ConnectorStatus.DISCONNECTED:
        raise Misuse(
            "not_connected",
            f"{row.type.label} of {row.tenant_id} is not connected.",
            next_step=f"Connect it: gtmc connectors connect --tenant {row.tenant_id} --connector {row.type}",
        )


@group.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")] = None,
    connector: Annotated[str | None, typer.Option("--connector", "-c", help="Only of this type or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List syncs, newest first."""
    with opened() as (_, database):
        if tenant is not None:
            require_tenant(database, tenant)
        if tenant is not None and connector is not None:
            connector = require_connector(database, tenant, connector).id
        elif connector is not None:
            connector = _of_any_tenant(connector)
        found = [
            log
            for log in list_syncs(database, tenant, limit=limit if connector is None else 1_000)
            if connector in (None, log.connector, log.connector_id)
        ]
    shown = [log_row(log) for log in found[:limit]]
    if not as_json:
        shown = [_brief(row) for row in shown]
    columns = _COLUMNS if tenant is None else tuple(name for name in _COLUMNS if name != "tenant")
    start = f"Start one: gtmc sync --tenant {tenant or '<id>'} --connector <type>"
    emit(shown, columns, as_json=as_json, title="syncs", when_none=start)


def _of_any_tenant(connector: str) -> str:
    """A type or an id, with the types' near names for a misspelled one."""
    return connector if _ID.fullmatch(connector) else connector_type(connector).value


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    written = sum(row[name] for name in ("created", "updated", "deleted"))
    kind = f"{row['type']} ({row['full_because'].replace('_', ' ')})" if row["full_because"] else row["type"]
    brief = {"id": row["id"][:_ID_CHARACTERS], "sync": f"{kind}, {row['outcome']}", "written": written}
    return {**row, **brief}


@group.command("show")
def show(
    sync_id: SyncId,
    as_json: AsJson = False,
) -> None:
    """Show one sync with its balance sheet by stream."""
    with opened() as (settings, database):
        log = require_sync(database, None, sync_id)
    url = workflow_url(settings, log.workflow_id or "", log.workflow_run_id or "")
    if as_json:
        emit_json({**log_row(log), "streams": log.stream_counts, "workflow_url": url})
        return
    facts = {**log_row(log), "vendor_usage": usage_text(log.vendor_usage), "workflow_url": url}
    emit([{"field": name, "value": value} for name, value in facts.items()], ("field", "value"), as_json=False)
    balance_sheet({name: log.counts_of(name).as_dict() for name in log.stream_counts}, "records")
    tell_failed_values(log)
    for name, entry in log.stream_counts.items():
        if entry.get("error"):
            say("[red]✗[/red] {}: {}", name, entry["error"])
        if entry.get("left_out"):
            left_out(name, entry["left_out"])


@group.command("cancel")
def cancel(sync_id: SyncId) -> None:
    """Stop a running sync or re-normalisation. What it has written stays; the next one goes on from there."""
    with opened() as (settings, database):
        log = require_sync(database, None, sync_id)
        if log.completed_at is not None or not log.workflow_id:
            raise Misuse(
                "sync_ended",
                f"Sync {log.id} has ended already: {log.outcome or log.status.value}.",
                next_step="See `gtmc syncs list` for those that are running.",
            )
        with SyncClient.open(settings) as client:
            client.cancel(log.workflow_id, actor=cli_actor())
            outcome = client.outcome_within(log.workflow_id, _CLOSING_SECONDS)
    said = f"{log.id}: {outcome.outcome}" if outcome else f"{log.id} was asked to stop and closes its books when it can"
    say_unbroken("[green]✓[/green] {}", said)


def _request(row: ConnectorRow, mode: SyncMode, streams: tuple[str, ...]) -> SyncRequest:
    return SyncRequest(row.tenant_id, row.id, row.type, mode, streams, Trigger.CLI, requested_by=cli_actor())


def _announce(settings: Settings, handle: SyncHandle, as_json: bool) -> None:
    url = workflow_url(settings, handle.workflow_id, handle.run_id)
    if as_json:
        emit_json({"workflow_id": handle.workflow_id, "run_id": handle.run_id, "workflow_url": url})
        return
    say_unbroken("[green]✓[/green] started {}", handle.workflow_id)
    if url:
        say_unbroken("  {}", url)


def _follow(settings: Settings, client: SyncClient, handle: SyncHandle, as_json: bool) -> SyncOutcome:
    try:
        watch(client.follow(handle, 0.5), is_quiet=as_json)
    except KeyboardInterrupt:
        say_unbroken("Not followed any more; the sync goes on: gtmc syncs show {}", handle.workflow_id)
        raise typer.Exit(130) from None
    outcome = client.outcome(handle)
    name = outcome.held_by or handle.workflow_id
    if as_json:
        emit_json(_as_json(outcome) | {"workflow_id": name, "workflow_url": workflow_url(settings, name)})
        return outcome
    if outcome.held_by:
        say_unbroken("Another sync of this connector was running; this is its outcome: {}", name)
    balance_sheet(outcome.counts, f"{outcome.mode} sync {outcome.outcome}")
    if outcome.sync_log_id:
        say_unbroken("[dim]gtmc syncs show {}[/dim]", outcome.sync_log_id)
    for stream, sentence in outcome.failed_streams.items():
        say("[red]✗[/red] {}: {}", stream, sentence)
    return outcome


def _as_json(outcome: SyncOutcome) -> dict[str, Any]:
    return {**asdict(outcome), "totals": outcome.totals.as_dict()}
