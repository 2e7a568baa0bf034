"""`gtmc mappings`: show, change, try and apply how source fields become canonical columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.actor import acting_for, cli_actor
from gtmc_pipelines.cli.console import AsJson, Tenant, emit, emit_json, say, say_unbroken, working
from gtmc_pipelines.cli.mappings_apply import apply_mappings
from gtmc_pipelines.cli.mappings_file import read_mapping
from gtmc_pipelines.cli.mappings_legacy import LegacyChoice, move_over
from gtmc_pipelines.cli.mappings_preview import Tally, preview
from gtmc_pipelines.cli.mappings_scope import Scope, scope_of
from gtmc_pipelines.cli.mappings_views import Mask, show_changes, show_entries, show_tally, shown_changes
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.entities import ENTITIES, SKIP, Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.mappings import reset_mapping, save_mapping
from gtmc_pipelines.workflows.source_fields import FieldCheck, source_fields, unread_fields

group = typer.Typer(help="Field mappings: which source field fills which column.", no_args_is_help=True)

Connector = Annotated[str, typer.Option("--connector", "-c", help="Type or id of the connector.")]
EntityName = Annotated[str, typer.Option("--entity", "-e", help="account, person, opportunity or activity.")]
File = Annotated[Path, typer.Option("--file", "-f", help="List of entries, JSON or YAML; '-' reads stdin.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; unset: the user of this machine.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="mappings")


@group.command("show")
def show(
    tenant: Tenant,
    connector: Connector,
    entity: Annotated[str | None, typer.Option("--entity", "-e", help="Only this entity.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the entries in force and where they come from. With --entity, --json prints just the list `set` takes."""
    with opened() as (_, database):
        scope = scope_of(database, tenant, connector)
    entities = scope.entities if entity is None else (scope.entity(entity),)
    if as_json and entity is not None:
        trouble = scope.trouble(entities[0])
        if trouble is not None:
            raise trouble
        emit_json(scope.entries(entities[0]))
    elif as_json:
        emit_json([_as_json(scope, each) for each in entities])
    else:
        for each in entities:
            version = f", version {scope.saved[each].version}" if each in scope.saved else ""
            show_entries(each, scope.entries(each), f"{each}: {scope.origin(each)} mapping{version}")
            trouble = scope.trouble(each)
            if trouble is not None:
                say_unbroken("  {}", trouble)


@group.command("set")
def set_(
    tenant: Tenant, connector: Connector, entity: EntityName, file: File, by: By = None, as_json: AsJson = False
) -> None:
    """Save a mapping after checking all of it. The next sync uses it; rows already stored change by `apply`."""
    with opened() as (settings, database):
        scope = scope_of(database, tenant, connector)
        kind = scope.entity(entity, must_be_mappable=True)
        entries = read_mapping(file, kind, [stream.name for stream in scope.streams(kind)])
        checked = unread_fields(settings, database, scope.row, kind, entries, actor=cli_actor())
        _refuse_unread(checked)
        documented = [entry.as_dict() for entry in entries]
        saved = save_mapping(database, tenant, scope.row.id, kind, documented, actor=acting_for(by))
    if as_json:
        emit_json({"entity": kind.value, "version": saved.version, "entries": documented})
        return
    say("[green]✓[/green] {} entries saved for {}, version {}.", len(entries), kind, saved.version)
    if checked.note:
        say("  {}", checked.note)
    _say_what_is_next(tenant, connector, kind)


@group.command("reset")
def reset(tenant: Tenant, connector: Connector, entity: EntityName, by: By = None, as_json: AsJson = False) -> None:
    """Go back to the default mapping of an entity."""
    with opened() as (_, database):
        scope = scope_of(database, tenant, connector)
        kind = scope.entity(entity, must_be_mappable=True)
        was_saved = reset_mapping(database, tenant, scope.row.id, kind, actor=acting_for(by))
    if as_json:
        emit_json({"entity": kind.value, "reset": was_saved})
    elif was_saved:
        say("[green]✓[/green] {} is mapped by the defaults again.", kind)
        _say_what_is_next(tenant, connector, kind)
    else:
        say("{} was mapped by the defaults already.", kind)


@group.command("import-legacy")
def import_legacy(
    tenant: Tenant,
    connector: Connector,
    discard: Annotated[bool, typer.Option("--discard", help="Take the legacy set away without saving it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Move the legacy set of a connector (the column connectors.field_mappings) to its saved mappings.

    Shows what is understood and what isn't; as long as anything isn't, nothing is moved. Rows stay as they are.
    """
    with opened() as (_, database):
        scope = scope_of(database, tenant, connector)
        move_over(database, scope, LegacyChoice(is_discard=discard, is_sure=yes, actor=acting_for(by)), as_json=as_json)


@group.command("fields")
def fields(tenant: Tenant, connector: Connector, entity: EntityName, as_json: AsJson = False) -> None:
    """List source fields, as the vendor has them now, and target fields with their types."""
    with opened() as (settings, database):
        scope = scope_of(database, tenant, connector)
        kind = scope.entity(entity)
        found = source_fields(settings, database, scope.row, kind, actor=cli_actor())
    source = [
        {
            "name": f.name,
            "label": f.label,
            "type": f.type,
            "required": f.is_required,
            "custom": f.is_custom,
            "calculated": f.is_calculated,
        }
        for f in found
    ]
    target = [
        {"name": f.target, "type": f.kind.value, "required": f.is_required, "description": f.description}
        for f in (*ENTITIES[kind].fields, SKIP)
    ]
    if as_json:
        emit_json({"source": source, "target": target})
        return
    title = f"{scope.row.type.label} fields"
    columns = ("name", "label", "type", "required", "custom", "calculated")
    emit(_in_words(source), columns, as_json=False, title=title)
    emit(_in_words(target), ("name", "type", "required", "description"), as_json=False, title=f"fields of {kind}")


@group.command("preview")
def preview_command(
    tenant: Tenant,
    connector: Connector,
    entity: EntityName,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Try this list of entries instead of the mapping in force.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, max=1_000, help="Show so many changed rows.")] = 20,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show personal data as it is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare stored rows with what a mapping makes of the raw ones: what `apply` would do. Changes nothing."""
    with opened() as (_, database):
        scope = scope_of(database, tenant, connector)
        kind = scope.entity(entity, must_be_mappable=file is not None)
        streams = [stream.name for stream in scope.streams(kind)]
        entries = None if file is None else read_mapping(file, kind, streams)
        with _progress() as tell:
            tally = preview(database, scope, kind, entries, limit=limit, tell=tell)
    in_force = [MappingEntry.of(entry) for entry in scope.entries(kind)] if entries is None else entries
    mask = None if unmasked else Mask(kind, in_force)
    if as_json:
        emit_json(_preview_as_json(tally, mask))
        return
    if tally.samples:
        show_changes(tally.samples, mask)
        if tally.changed > len(tally.samples):
            say("[dim]{} of {:,} rows that would change[/dim]", len(tally.samples), tally.changed)
    show_tally(tally)


@group.command("apply")
def apply(tenant: Tenant, connector: Connector, as_json: AsJson = False) -> None:
    """Make the stored rows again from the raw ones, with the mappings in force. The vendor is not called.

    Stopped anywhere, it is simply run again: rows that don't change stay as they are.
    """
    with opened() as (settings, database):
        apply_mappings(settings, scope_of(database, tenant, connector), as_json=as_json)


def _in_words(fields: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For a table: yes is easier to find among blanks."""
    return [
        {name: ("yes" if value else "") if isinstance(value, bool) else value for name, value in each.items()}
        for each in fields
    ]


def _as_json(scope: Scope, entity: Entity) -> dict[str, Any]:
    origin, trouble = scope.origin(entity), scope.trouble(entity)
    return {
        "entity": entity.value,
        "origin": origin,
        "is_default": origin == "default",
        "mappings": scope.entries(entity),
        **({"error": str(trouble)} if trouble else {}),
    }


def _preview_as_json(tally: Tally, mask: Mask | None) -> dict[str, Any]:
    return {
        **tally.counts(),
        "columns": dict(tally.columns),
        "failed_values": [
            {"column": column, "code": code, "field": field, "rows": rows}
            for (column, code, field), rows in tally.failed.items()
        ],
        "rejects": [{"code": code, "field": field, "rows": rows} for (code, field), rows in tally.rejects.items()],
        "changes": shown_changes(tally.samples, mask),
    }


def _refuse_unread(checked: FieldCheck) -> None:
    """Raise Misuse `unread_field` when the mapping names fields that no sync reads."""
    if checked.problems:
        raise Misuse(
            "unread_field",
            "The mapping names source fields that no sync reads:",
            faults=map(str, checked.problems),
            next_step="Nothing was changed. `gtmc mappings fields` lists those the connected user can see.",
        )


def _say_what_is_next(tenant: str, connector: str, entity: Entity) -> None:
    where = f"--tenant {tenant} --connector {connector}"
    say("  The next sync uses it for what it reads. For the rows already stored:")
    for command in (f"preview {where} --entity {entity}", f"apply {where}"):
        say_unbroken("    gtmc mappings {}", command)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Tells on stderr how many rows were looked at; stdout stays for the result."""
    with working("reading raw rows…") as tell:
        yield lambda count: tell("{:,} raw rows mapped and compared…", count)
