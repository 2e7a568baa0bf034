"""How mappings and their previews look in a terminal, with personal data masked unless asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gtmc_pipelines.cli.console import emit, line, new_table, say, show
from gtmc_pipelines.cli.mappings_preview import Change, Tally
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.vault.masking import EMAIL, mask_email, mask_name, mask_row

_ABOUT_PEOPLE = re.compile(r"name|mail|phone|mobile|fax|contact", re.I)
_OF_PEOPLE = frozenset({Entity.PERSON, Entity.ACTIVITY, Entity.MEETING, Entity.INTENT_SIGNAL})
_COLUMNS = ("source", "target", "type", "transform", "required", "stream")


def show_entries(entity: Entity, entries: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print entries as they are stored, each with its target's type."""
    emit([_row(entity, entry) for entry in entries], _COLUMNS, as_json=False, title=title)


def _row(entity: Entity, entry: Mapping[str, Any]) -> dict[str, Any]:
    field = ENTITIES[entity].target(str(entry.get("targetField")))
    is_required = entry.get("required") or (field is not None and field.is_required)
    return {
        "source": entry.get("sourceField"),
        "target": entry.get("targetField"),
        "type": field.kind.value if field else "unknown",
        "transform": entry.get("customTransform") or entry.get("transform", "none"),
        "required": "yes" if is_required else "",
        "stream": entry.get("stream") or "all",
    }


class Mask:
    """Hides personal data of changes: whole columns about people, and addresses and numbers anywhere."""

    def __init__(self, entity: Entity, entries: Sequence[MappingEntry]) -> None:
        spec = ENTITIES[entity]
        about = [entry for entry in entries if entity in _OF_PEOPLE and _ABOUT_PEOPLE.search(_read_by(entry))]
        fields = [spec.field(entry.target_field) for entry in about]
        self._columns = {field.column for field in fields if field is not None}

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, fit to be shown."""
        return {column: self._cell(column, value) for column, value in values.items()}

    def external_id(self, text: str) -> str:
        """An id, with the address some vendors use as one masked."""
        return EMAIL.sub(lambda match: mask_email(match.group()), text)

    def _cell(self, column: str, value: Any) -> Any:
        if isinstance(value, dict | list):
            value = as_text(value)
        if not isinstance(value, str):
            return value
        masked = mask_row({column: value})[column]
        return mask_name(value) if masked == value and column in self._columns else masked


def _read_by(entry: MappingEntry) -> str:
    return f"{entry.source_field} {entry.custom_transform or ''}"


def as_text(value: Any) -> str:
    """A canonical value as people read it; JSON in one line."""
    if value is None:
        return "-"
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False, sort_keys=True)
    return str(value).lower() if isinstance(value, bool) else str(value)


def shown_changes(changes: Sequence[Change], mask: Mask | None) -> list[dict[str, Any]]:
    """The changes as plain objects for --json, masked when there is a mask."""
    return [
        {
            "external_id": mask.external_id(change.external_id) if mask else change.external_id,
            "stream": change.stream,
            "new_row": change.is_new,
            "old": mask(change.old) if mask else dict(change.old),
            "new": mask(change.new) if mask else dict(change.new),
        }
        for change in changes
    ]


def show_changes(changes: Sequence[Change], mask: Mask | None) -> None:
    """Print old and new values side by side, a line for each column that differs."""
    table = new_table("old and new values")
    for name in ("row", "stream", "column", "old", "new"):
        table.add_column(name, overflow="fold")
    for change in shown_changes(changes, mask):
        head = (change["external_id"], change["stream"])
        for column, value in change["new"].items():
            old, new = as_text(change["old"].get(column)), as_text(value)
            if change["new_row"]:
                old = "(no row yet)"
            elif old == new:
                new += " (masked)"  # the difference is in what the mask hides
            table.add_row(*head, column, line("[dim]{}[/dim]", old), line("[green]{}[/green]", new))
            head = ("", "")
    show(table)


def show_tally(tally: Tally) -> None:
    """Print the sums: what would become of all raw rows, which columns change, what can't be read, what is rejected."""
    counts = [
        f"{number:,} {name.replace('_', ' ')}" for name, number in tally.counts().items() if number or name == "read"
    ]
    say("[bold]all raw rows:[/bold] {}", " · ".join(counts))
    if tally.columns:
        listed = ", ".join(f"{column} ({number:,})" for column, number in tally.columns.most_common())
        say("columns that differ: {}", listed)
    failed = [
        {"column": column, "code": code, "field": field or "-", "rows": number, "because": _because(code, field)}
        for (column, code, field), number in tally.failed.most_common()
    ]
    if failed:
        names = ("column", "code", "field", "rows", "because")
        emit(failed, names, as_json=False, title="columns that would be empty because their value can't be read")
    rejects = [
        {"code": code, "field": field or "-", "rows": number, "because": _because(code, field)}
        for (code, field), number in tally.rejects.most_common()
    ]
    if rejects:
        emit(rejects, ("code", "field", "rows", "because"), as_json=False, title="rows that would be rejected")


def _because(code: str, field: str) -> str:
    return REASONS.get(code, "").format(field=field or "The record")
