"""`gtmc connectors export|apply`: connectors as a file that can be kept, reviewed and applied again."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.confirming import ConfirmAddress, confirm_hosts
from gtmc_pipelines.cli.console import AsJson, emit, emit_json, say, say_unbroken
from gtmc_pipelines.cli.declared.applying import apply_step, prove_all
from gtmc_pipelines.cli.declared.exporting import exported
from gtmc_pipelines.cli.declared.planning import Step, plan_of
from gtmc_pipelines.cli.declared.positions import Fault, Source
from gtmc_pipelines.cli.declared.reading import Reading
from gtmc_pipelines.cli.declared.references import Reach
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.cli.text_files import read_text
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings, is_setting
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import list_tenants, require_tenant

_LARGEST_FILE = 10_000_000  # characters

_COLUMNS = ("tenant", "connector", "action", "changes")


def export(
    tenant: Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write here; unset: stdout.")] = None,
) -> None:
    """Write connectors as YAML that `apply` takes: settings, schedules, mappings, domains, never a secret."""
    with opened() as (_, database):
        names = [require_tenant(database, tenant).id] if tenant else [one.id for one in list_tenants(database)]
        text = exported(database, names)
    if file is None:
        sys.stdout.write(text)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError:
        raise Misuse("file_not_written", f"The file {str(file)!r} can't be written.") from None


def apply(
    file: Annotated[Path, typer.Argument(help="The file; '-' reads stdin (then --yes is needed).")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    secrets_dir: Annotated[
        Path | None, typer.Option("--secrets-dir", help="Files below it may be referred to, too.", file_okay=False)
    ] = None,
    allow_env: Annotated[
        list[str] | None, typer.Option("--allow-env", help="A variable that may be referred to; repeatable.")
    ] = None,
    confirm_address: ConfirmAddress = None,
    as_json: AsJson = False,
) -> None:
    """Bring connectors to what a file says: shows the plan, asks, proves new keys at their vendors, then applies.

    With a fault anywhere in the file nothing is changed. Interrupted, it is simply run again. Secrets are referred to:
    files below the file's own folder or --secrets-dir, variables that start with GTMC_SECRET_ or are named by
    --allow-env. A host that keys were never sent to is asked about by itself; --yes alone doesn't confirm it.
    """
    if (as_json or str(file) == "-") and not (yes or dry_run):
        raise Misuse("not_asked", "Nobody can be asked here.", next_step="Add --yes, or --dry-run to see the plan.")
    source = Source(_text(file))
    with opened() as (settings, database):
        folder = None if str(file) == "-" else file.absolute().parent
        reach = Reach(folder, settings.home, secrets_dir, _allowed(allow_env or []))
        steps = _planned(settings, database, source, file, reach)
        work = [step for step in steps if step.row is None or step.changes]
        if as_json:
            emit_json([step.as_dict() for step in steps])
        else:
            emit([step.as_dict() for step in steps], _COLUMNS, as_json=False, title="plan")
            _say_where_secrets_go(steps)
        if work and not dry_run and (yes or typer.confirm(f"Apply to {len(work)} connectors?", abort=True)):
            new = dict.fromkeys(host for step in work for host in step.sending.new_hosts)
            confirm_hosts(tuple(new), confirm_address or (), can_ask=not (yes or as_json))
            _carry_out(settings, database, work, source, file)
    if as_json:
        return
    if not work:
        say("Nothing to do: everything is as the file says.")
    elif dry_run:
        say("Dry run: nothing was changed.")
    else:
        say("[green]✓[/green] {} connectors are as the file says.", len(work))
        _say_what_is_next(work)


def _planned(settings: Settings, database: Database, source: Source, file: Path, reach: Reach) -> list[Step]:
    tenants = tuple(one.id for one in list_tenants(database))
    reading = Reading(source, tenants, settings.allowed_sandbox_hosts, reach, datetime.now(UTC))
    desired = reading.connectors()
    known = [one for one in desired if one.tenant_id in tenants]
    steps = [plan_of(settings, database, one, source.faults) for one in known]
    _stop_at(source.faults, file)
    return steps


def _carry_out(settings: Settings, database: Database, work: list[Step], source: Source, file: Path) -> None:
    proven = prove_all(settings, database, work, source.faults)
    _stop_at(source.faults, file)
    actor = cli_actor()
    for place, step in enumerate(work):
        apply_step(settings, database, step, proven.get(place), actor)


def _stop_at(faults: list[Fault], file: Path) -> None:
    """Raise Misuse that lists all faults, in the order of the file."""
    if faults:
        count = len(set(faults))
        raise Misuse(
            "bad_connector_file",
            f"{file.name if str(file) != '-' else 'stdin'} has {count} fault{'s' * (count > 1)}:",
            faults=map(str, sorted(set(faults))),
            next_step="Correct these lines and apply again; nothing was changed.",
        )


def _allowed(names: list[str]) -> frozenset[str]:
    """Variables allowed by name. Raises Misuse for one of our own: those hold no vendor's key."""
    own = [name for name in names if is_setting(name)]
    if own:
        raise Misuse("variable_refused", f"{own[0]} is a variable of gtmc's own and can't be referred to.")
    return frozenset(names)


def _say_where_secrets_go(steps: list[Step]) -> None:
    for step in steps:
        for line in step.sending.lines:
            where = f"{step.desired.tenant_id}, {step.desired.type}"
            say_unbroken("  {}: {}", where, line)


def _say_what_is_next(work: list[Step]) -> None:
    for step in work:
        if any(note.startswith("then:") for note in step.notes):
            where = f"--tenant {step.desired.tenant_id} --connector {step.desired.type}"
            say_unbroken("  Next: gtmc connectors connect {}", where)


def _text(file: Path) -> str:
    try:
        return read_text(file, _LARGEST_FILE)
    except (OSError, UnicodeDecodeError):
        raise Misuse("file_unreadable", f"The file {str(file)!r} can't be read as text.") from None
