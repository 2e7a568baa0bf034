"""`gtmc dead-letters`: the records that could not be written, why, and how they are tried again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.console import AsJson, Tenant, emit, emit_json, say
from gtmc_pipelines.cli.dead_letters_replay import Choice, carry_out, forecast, replays_of, tell_unheld, waiting
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.connectors import require_connector
from gtmc_pipelines.storage.dead_letters import DeadLetter, list_letters, require_letter
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.tenants import require_tenant

OF_A_TENANT = ("id", "connector", "stream", "external_id", "reason_code", "attempts", "last_seen_at")
OF_ALL = ("id", "tenant_id", "connector", "stream", "reason_code", "attempts", "last_seen_at")

group = typer.Typer(
    help="Records that could not be written: list them, see why, correct the cause, replay them.",
    no_args_is_help=True,
)


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
    """Dead letters that are still open, newest first.

    A record lands here when its mapping or PostgreSQL refuses it; its neighbours are written. Correct the cause (gtmc
    mappings set, or the record at the vendor), then gtmc dead-letters replay. Every sync tries them again, too.
    """
    if connector is not None and tenant is None:
        raise typer.BadParameter("give --tenant with --connector")
    with _database() as database:
        connector_id = None
        if tenant is not None:
            require_tenant(database, tenant)
            connector_id = None if connector is None else require_connector(database, tenant, connector).id
        letters = list_letters(database, tenant, connector_id, only_open=not show_all, limit=limit)
    columns = (OF_ALL if tenant is None else OF_A_TENANT) + (("resolution",) if show_all else ())
    emit([_plain(letter) for letter in letters], columns, as_json=as_json, title="Dead letters")
    if not as_json and any(letter.is_replayable for letter in letters):
        scope = "".join(f" --{name} {value}" for name, value in (("tenant", tenant), ("connector", connector)) if value)
        say("What a replay would do: gtmc dead-letters replay{} --dry-run", scope)


@group.command("show")
def show_command(
    letter_id: Annotated[int, typer.Argument(help="Id, as `gtmc dead-letters list` prints it.")],
    tenant: Tenant,
    with_payload: Annotated[
        bool, typer.Option("--with-payload", help="The record too, if it was kept here: personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """One dead letter: what failed, why, how often, when, and what a replay would do."""
    with _database() as database:
        require_tenant(database, tenant)
        letter = require_letter(database, tenant, letter_id)
    values = _plain(letter) | {"replay": _prospect(letter)}
    if with_payload:
        values["payload"] = letter.payload
    if as_json:
        emit_json(values)
        return
    for name, value in values.items():
        say("{:>14}  {}", name.replace("_", " "), "-" if value is None else value)


@group.command("replay")
def replay_command(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only this tenant's.")] = None,
    connector: Annotated[str | None, typer.Option("--connector", "-c", help="Only of this type or id.")] = None,
    stream: Annotated[str | None, typer.Option("--stream", "-s", help="Only of this stream.")] = None,
    letters: Annotated[list[int] | None, typer.Option("--id", help="Only this letter; repeatable.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Map the records and say what would happen; write nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow each replay to its end.")] = True,
    as_json: AsJson = False,
) -> None:
    """Try open dead letters again with today's mappings, from what is held of their records.

    The vendor is not called. A letter whose record is written, or was overtaken by a newer version, is closed; one
    that fails again stays, with its attempts counted up and the new reason. A sync that is running is waited for.
    Without options all open letters of all tenants are tried.
    """
    choice = Choice(tenant, connector, stream, tuple(letters or ()))
    settings = load_settings()
    with _database() as database:
        found = waiting(database, choice)
        replays = replays_of(found)
        if dry_run:
            forecast(database, replays, as_json=as_json)
        elif replays:
            carry_out(settings, database, replays, wait=wait, as_json=as_json)
        else:
            emit([], (), as_json=as_json, title="Dead letters to replay")
        if not as_json:
            tell_unheld(found)


def _prospect(letter: DeadLetter) -> str:
    """What a replay would do with a letter."""
    if not letter.is_open:
        return f"nothing: closed, {letter.resolution}"
    if not letter.is_replayable:
        held = "no table can hold its id" if letter.stage == "write" else "nothing of the record is held"
        return f"nothing: {held}; correct it at the vendor, then gtmc sync --full"
    if letter.payload is None:
        return "its raw row is mapped again and written"
    return "the record kept here is mapped and written, unless a newer version has been landed since"


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
