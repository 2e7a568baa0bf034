"""`gtmc audit`: who changed what, and whether the log is still as it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape

from gtmc_pipelines.cli.console import AsJson, console, emit, emit_json
from gtmc_pipelines.cli.opening import opened
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.audit import Chain, verify_chain
from gtmc_pipelines.storage.audit_entries import Entry, get_entry, list_entries
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import list_tenants, require_tenant

group = typer.Typer(help="The audit log: every change with its actor.", no_args_is_help=True)

OneTenant = Annotated[str | None, typer.Option("--tenant", "-t", help="Only of this tenant.")]
_COLUMNS = ("at", "tenant", "actor", "action", "of", "changes")
_LONGEST_CHANGE = 200  # characters in a table; --json has all
_LONGEST_LIST = 60
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
    """Recompute the chain of hashes of each tenant; say where one breaks, and fail then.

    `head` is the newest row's hash: kept elsewhere, it also shows that the newest rows were cut off.
    """
    with opened() as (_, database):
        rows = [_verified(database, name) for name in _tenants(database, tenant)]
    broken = [row for row in rows if not row["is_sound"]]
    if as_json:
        emit_json(rows)
    else:
        emit(broken or rows, ("tenant", "rows", "is_sound", "broken_at", "head"), as_json=False, title="audit chains")
    if broken:
        raise Misuse(
            "audit_broken",
            f"The audit log of {broken[0]['tenant']} doesn't fit from {broken[0]['broken_at']}"
            f" ({len(broken)} of {len(rows)} tenants).",
            next_step="That row, or the one before it, was changed or removed outside gtmc: compare with a backup.",
        )
    if not as_json:
        total = sum(row["rows"] for row in rows)
        console.print(f"[green]✓[/green] {total:,} rows of {len(rows):,} tenants fit.", highlight=False)


def _tenants(database: Database, tenant: str | None) -> list[str]:
    if tenant is not None:
        return [require_tenant(database, tenant).id]
    return [found.id for found in list_tenants(database)]


def _verified(database: Database, tenant: str) -> dict[str, Any]:
    with database.tenant(tenant) as handle:
        chain = verify_chain(handle, tenant)
        first = get_entry(handle, tenant, chain.broken_at) if chain.broken_at else None
    return {
        "tenant": tenant,
        "rows": chain.length,
        "is_sound": chain.is_sound,
        "broken_at": _place(chain, first),
        "head": chain.head,
    }


def _place(chain: Chain, entry: Entry | None) -> str | None:
    if entry is None:
        return chain.broken_at
    return f"row {entry.id} ({entry.action}, {entry.created_at:%Y-%m-%d %H:%M:%S} UTC)"


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
        }
    return {
        "at": entry.created_at,
        "tenant": entry.tenant_id,
        "actor": escape(entry.actor),
        "action": entry.action,
        "of": _brief(entry.resource_id or ""),
        "changes": escape(in_words(entry.changes)),
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
    text = "; ".join(told)
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
