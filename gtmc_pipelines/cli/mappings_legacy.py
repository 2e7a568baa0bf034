"""`gtmc mappings import-legacy`: the plan of moving a connector's legacy set over, and carrying it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import typer

from gtmc_pipelines.cli.console import emit, emit_json, say, say_unbroken
from gtmc_pipelines.cli.mappings_scope import Scope
from gtmc_pipelines.mapping.legacy import LegacyMapping
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import legacy_document, move_legacy

_NOTHING = LegacyMapping({}, ())


@dataclass(frozen=True, slots=True)
class LegacyChoice:
    """What is wanted, by whom: move it, or take it away unsaved; `is_sure` doesn't ask."""

    is_discard: bool
    is_sure: bool
    actor: str


def move_over(database: Database, scope: Scope, choice: LegacyChoice, *, as_json: bool) -> None:
    """Show the plan, ask, carry it out. A connector without a legacy set has nothing to do.

    Where mappings were saved since, they are in force and stay; the legacy set is dead and can only be taken away.
    Raises Misuse `legacy_not_understood` when something is lost by moving it, `not_asked` when nobody can be asked.
    """
    document = legacy_document(database, scope.row.tenant_id, scope.row.id) if scope.saved else scope.mappings.document
    legacy = scope.mappings.legacy or _NOTHING
    is_replaced = bool(scope.saved) and document is not None
    plan = _plan(legacy, is_there=document is not None, is_replaced=is_replaced)
    if not as_json:
        _show(scope, legacy, plan)
    if document is None or (is_replaced and not choice.is_discard):
        _told(plan, "nothing", as_json=as_json)
        return
    if legacy.problems and not choice.is_discard:
        raise _lost(legacy, is_listed=not as_json)
    if not choice.is_sure:
        if as_json:
            raise Misuse("not_asked", "Nobody can be asked here.", next_step="Add --yes.")
        verb = "Take the legacy set away" if choice.is_discard else "Move it over"
        typer.confirm(f"{verb}?", abort=True)
    entries = (
        {}
        if choice.is_discard
        else {entity: [entry.as_dict() for entry in entries] for entity, entries in legacy.entries.items()}
    )
    move_legacy(database, scope.row.tenant_id, scope.row.id, document, entries, actor=choice.actor)
    _told(plan, "discarded" if choice.is_discard else "moved", as_json=as_json)
    if not as_json:
        _say_what_is_next(scope)


def _plan(legacy: LegacyMapping, *, is_there: bool, is_replaced: bool) -> dict[str, Any]:
    return {
        "legacy_set": "replaced" if is_replaced else "in_force" if is_there else "none",
        "entries": {entity.value: [each.as_dict() for each in entries] for entity, entries in legacy.entries.items()},
        "problems": [
            {"entity": problem.entity, "place": problem.place, "sentence": problem.sentence}
            for problem in legacy.problems
        ],
    }


def _show(scope: Scope, legacy: LegacyMapping, plan: dict[str, Any]) -> None:
    if plan["legacy_set"] != "in_force":
        return
    shown = [
        {"entity": entity, "entries": len(legacy.entries.get(entity, ())), "mapped by": scope.origin(entity)}
        for entity in scope.entities
    ]
    emit(shown, ("entity", "entries", "mapped by"), as_json=False, title="legacy set")
    if legacy.problems:
        problems = [{"place": p.place or "all of it", "why": p.sentence} for p in legacy.problems]
        emit(problems, ("place", "why"), as_json=False, title="not understood")


def _lost(legacy: LegacyMapping, *, is_listed: bool) -> Misuse:
    count = len(legacy.problems)
    listed = "" if is_listed else ": " + " ".join(map(str, legacy.problems))
    return Misuse(
        "legacy_not_understood",
        f"The legacy set has {count} place{'s' * (count > 1)} that can't be understood{listed or '.'}",
        next_step="Nothing was moved. Correct connectors.field_mappings where it is written, or take the set away with"
        " --discard and save the mapping anew: `gtmc mappings set`.",
    )


def _told(plan: dict[str, Any], outcome: str, *, as_json: bool) -> None:
    if as_json:
        emit_json({"outcome": outcome, **plan})
        return
    if outcome == "nothing" and plan["legacy_set"] == "replaced":
        say_unbroken("Nothing to do: saved mappings are in force, the legacy set isn't. --discard takes it away.")
        return
    if outcome == "moved":
        say("[green]✓[/green] Moved: {}.", ", ".join(plan["entries"]) or "nothing was mapped by it")
    elif outcome == "discarded":
        say("[green]✓[/green] The legacy set is gone; the audit log keeps it.")
    else:
        say("Nothing to do: the connector has no legacy set.")


def _say_what_is_next(scope: Scope) -> None:
    where = f"--tenant {scope.row.tenant_id} --connector {scope.row.type}"
    say("  The next sync maps by what is in force. For the rows already stored:")
    say_unbroken("    gtmc mappings apply {}", where)
