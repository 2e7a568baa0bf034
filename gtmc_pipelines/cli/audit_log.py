"""`gtmc audit`: who changed what, and whether the log is still as it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gtmc_pipelines.cli.console import AsJson, emit, emit_json, say
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.audit import tenants_with_log, verify_chain
from gtmc_pipelines.storage.audit_entries import Entry, get_entry, list_entries
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle
from gtmc_pipelines.storage.tenants import list_tenants, require_tenant

group = typer.Typer(help="The audit log: every change with its actor.", no_args_is_help=True)

OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")]
_COLUMNS = ("at", "tenant", "actor", "action", "of", "changes")
_LONGEST_CHANGE = 200  # characters in a table; --json has all
_LONGEST_LIST = 60
_TIME = "%Y-%m-%d %H:%M:%S"
_ID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


def register(app: typer.Typer) -> None:
    """Add the commands of this file to `gtmc`."""
    app.add_typer(group, name="audit")


@group.command("list")
def list_(
    tenant: OneTenant = None,
    action: Annotated[str | None, typer.Option("--action", help="Beginning with this: connector, o365.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the newest changes first, of all tenants unless one is named."""
    with opened() as (_, database):
        found: list[Entry] = []
        for name in _tenants(database, tenant):
            with database.tenant(name) as handle:
                found += list_entries(handle, name, limit, action=action)
    newest = sorted(found, key=lambda entry: entry.created_at, reverse=True)[:limit]
    columns = _COLUMNS if tenant is None else tuple(name for name in _COLUMNS if name != "tenant")
    emit([_shown(entry, in_full=as_json) for entry in newest], columns, as_json=as_json, title="audit log")


@group.command("verify")
def verify(tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """Recompute each tenant's chain of hashes, removed ones' too; say where one breaks or ends early, and fail then.

    `rows` and `head`, kept elsewhere, prove the log even against the owner of the schema.
    """
    with opened() as (_, database):
        known = tenants_with_log(database)
        others = [] if tenant in known else _tenants(database, tenant)
        names = sorted({*known, *others}) if tenant is None else [tenant]
        rows = [_verified(database, name) for name in names]
    broken = [row for row in rows if not row["is_sound"]]
    if as_json:
        emit_json(rows)
    else:
        columns = ("tenant", "rows", "written", "broken_at", "cut_after") if broken else ("tenant", "rows", "head")
        emit(broken or rows, columns, as_json=False, title="audit chains")
    if broken:
        raise Misuse(
            "audit_broken",
            f"The audit log of {broken[0]['tenant']} {_fault(broken[0])} ({len(broken)} of {len(rows)} tenants).",
            next_step="It was changed outside gtmc, there or just before: compare with a backup.",
        )
    if not as_json:
        total = sum(row["rows"] for row in rows)
        say("[green]✓[/green] {:,} rows of {:,} tenants fit.", total, len(rows))


def _tenants(database: Database, tenant: str | None) -> list[str]:
    if tenant is not None:
        return [require_tenant(database, tenant).id]
    return [found.id for found in list_tenants(database)]


def _verified(database: Database, tenant: str) -> dict[str, Any]:
    with database.tenant(tenant) as handle:
        chain = verify_chain(handle, tenant)
        broken_at, cut_after = (_place(handle, tenant, entry_id) for entry_id in (chain.broken_at, chain.cut_after))
    return {
        "tenant": tenant,
        "rows": chain.length,
        "written": chain.written,
        "is_sound": chain.is_sound,
        "broken_at": broken_at,
        "cut_after": cut_after,
        "head": chain.head,
        "written_at": chain.written_at,
    }


def _fault(row: dict[str, Any]) -> str:
    """What is wrong with a chain, as the end of a sentence about it."""
    if row["broken_at"] is not None:
        return f"doesn't fit from {row['broken_at']}"
    missing = f"{row['written'] - row['rows']} of {row['written']} rows"
    if not row["rows"]:
        return f"lacks {missing}, the newest written at {row['written_at']:{_TIME}} UTC"
    return f"lacks {missing}, all after {row['cut_after']}"


def _place(handle: Handle, tenant: str, entry_id: str | None) -> str | None:
    entry = get_entry(handle, tenant, entry_id) if entry_id else None
    return entry_id if entry is None else f"row {entry.id} ({entry.action}, {entry.created_at:{_TIME}} UTC)"


def _shown(entry: Entry, *, in_full: bool) -> dict[str, Any]:
    if in_full:
        return {
            "id": entry.id,
            "at": entry.created_at,
            "tenant": entry.tenant_id,
            "actor": entry.actor,
            "action": entry.action,
            "resource": entry.resource,
            "resource_id": entry.resource_id,
            "changes": entry.changes,
            "metadata": entry.metadata,
            "hash": entry.hash,
        }
    return {
        "at": entry.created_at,
        "tenant": entry.tenant_id,
        "actor": entry.actor,
        "action": entry.action,
        "of": _brief(entry.resource_id or ""),
        "changes": in_words(entry.changes),
    }


def in_words(changes: Mapping[str, Any]) -> str:
    """What changed, shortly: `cron: 0 6 * * * → none`, lists by their length. --json has all of it."""
    before, after = (_named(changes.get(when)) for when in ("before", "after"))
    others = {name: value for name, value in changes.items() if name not in ("before", "after")}
    told = [f"{name or 'entries'}: {_brief(value)}" for name, value in others.items()]
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if "before" not in changes:
            told.append(f"{name}: {_brief(new)}")
        elif old != new:
            told.append(f"{name}: {_brief(old)} → {_brief(new)}")
    text = "; ".join(told) or "nothing else than before"
    return text if len(text) <= _LONGEST_CHANGE else text[: _LONGEST_CHANGE - 1] + "…"


def _named(side: Any) -> Mapping[str, Any]:
    if side is None:
        return {}
    return side if isinstance(side, Mapping) else {"entries": side}


def _brief(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_brief(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list):
        words = ", ".join(map(str, value)) if all(isinstance(each, str | int) for each in value) else ""
        return words if words and len(words) <= _LONGEST_LIST else f"{len(value)} in all"
    return _ID.sub(lambda found: found.group()[:8], str(value))
