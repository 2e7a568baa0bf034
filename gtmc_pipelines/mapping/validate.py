"""Validation: everything that is wrong with a mapping, found when it is saved, with positions."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.mapping.coerce import COERCIONS
from gtmc_pipelines.mapping.dearness import is_too_dear
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.model.entities import ENTITIES, SKIP, Entity, EntitySpec, Field, Kind
from gtmc_pipelines.model.errors import Misuse, Reject

MOST_ENTRIES = 500
LONGEST_PATH = 500
KEYS = ("sourceField", "targetField", "transform", "customTransform", "required", "stream")

Entries = str | bytes | Sequence[Mapping[str, Any] | MappingEntry]
"""A mapping as it comes: its JSON, the documented objects, or entries."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong. `position` counts entries from 1 (0: the mapping as a whole); `field` is the key to blame."""

    position: int
    field: str
    sentence: str

    def __str__(self) -> str:
        return f"entry {self.position}, {self.field}: {self.sentence}" if self.position else self.sentence


def parse_entries(entity: Entity, entries: Entries, streams: Sequence[str]) -> tuple[MappingEntry, ...]:
    """The entries, when nothing is wrong with them. Raises Misuse that lists every problem."""
    problems = validate(entity, entries, streams)
    if problems:
        raise Misuse(
            "bad_mapping",
            f"The mapping has {len(problems)} problem{'s' * (len(problems) > 1)}: " + " ".join(map(str, problems)),
            next_step="Correct these entries and save again; nothing was changed.",
        )
    return tuple(entry if isinstance(entry, MappingEntry) else MappingEntry.of(entry) for entry in _listed(entries))


def validate(entity: Entity, entries: Entries, streams: Sequence[str]) -> list[Problem]:
    """All problems of a mapping, in the order of its entries; `streams` are those that feed the entity.

    Never raises. An empty list means `compile_mapping` accepts it for every one of the streams.
    """
    try:
        listed = _listed(entries)
    except (ValueError, RecursionError):
        return [Problem(0, "", "The mapping is not a JSON list of entries.")]
    problems: list[Problem] = []
    if len(listed) > MOST_ENTRIES:
        problems.append(Problem(0, "", f"The mapping has {len(listed)} entries; {MOST_ENTRIES} are allowed."))
    spec = ENTITIES[entity]
    seen: list[tuple[str, str | None, int]] = []
    for position, item in enumerate(listed[:MOST_ENTRIES], start=1):
        entry = item.as_dict() if isinstance(item, MappingEntry) else item
        if not isinstance(entry, Mapping):
            problems.append(Problem(position, "entry", "It is not an object."))
            continue
        problems += (Problem(position, field, sentence) for field, sentence in _entry(spec, entry, streams, seen))
        seen.append((str(entry.get("targetField")), _stream_of(entry), position))
    problems += _uncovered(spec, seen, streams)
    return problems


def _listed(entries: Entries) -> Sequence[Any]:
    listed = json.loads(entries) if isinstance(entries, str | bytes) else entries
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ValueError("not a list")
    return listed


def _entry(
    spec: EntitySpec, entry: Mapping[str, Any], streams: Sequence[str], seen: Sequence[tuple[str, str | None, int]]
) -> Iterator[tuple[str, str]]:
    """(key, sentence) of each problem of one entry."""
    target, stream = entry.get("targetField"), _stream_of(entry)
    yield from _unknown_keys(entry)
    field = spec.target(target) if isinstance(target, str) else None
    yield from _source(entry.get("sourceField"))
    if target is None:
        yield "targetField", "It is missing."
    elif field is None:
        yield "targetField", _unknown_target(spec, target)
    for other, its_stream, position in seen:
        if field is not None and other == target and (stream is None or its_stream in (None, stream)):
            yield "targetField", f"{target} is filled by entry {position} already."
            break
    if stream is not None and stream not in streams:
        yield "stream", f"No stream of that name; there are: {', '.join(streams)}."
    if not isinstance(entry.get("required", False), bool):
        yield "required", "It must be true or false."
    elif field is SKIP and entry.get("required"):
        yield "required", "Whether a record is left out can't be required: without an answer it is kept."
    yield from _transform(entry, field)


def _unknown_keys(entry: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Keys that mean nothing: mostly a misspelled one, which would be passed over in silence."""
    for key in entry:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key)[:100], KEYS, n=1)
            advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(KEYS)}."
            yield str(key)[:40], f"An entry has no such key; {advice}"


def _stream_of(entry: Mapping[str, Any]) -> str | None:
    stream = entry.get("stream")
    return None if stream is None else str(stream)


def _source(path: Any) -> Iterator[tuple[str, str]]:
    if path is None:
        yield "sourceField", "It is missing."
    elif not isinstance(path, str) or not path.strip():
        yield "sourceField", "It is empty."
    elif len(path) > LONGEST_PATH or not path.isprintable():
        yield "sourceField", f"It must be printable text of at most {LONGEST_PATH} characters."
    elif "" in path.split("."):
        yield "sourceField", "A step of the dotted path is empty."


def _unknown_target(spec: EntitySpec, target: Any) -> str:
    known = [field.target for field in (*spec.fields, SKIP)]
    near = difflib.get_close_matches(str(target)[:100], known, n=2, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}."
    return f"The {spec.entity} has no such field; {advice}"


def _transform(entry: Mapping[str, Any], field: Field | None) -> Iterator[tuple[str, str]]:
    name, expression = entry.get("transform", "none"), entry.get("customTransform")
    try:
        transform = Transform(name)
    except ValueError:
        yield "transform", f"Unknown; there are: {', '.join(Transform)}."
        return
    if transform is Transform.CUSTOM:
        yield from _expression(expression, field)
        return
    if expression is not None:
        yield "customTransform", "It is only used with transform custom."
    if field is None:
        return
    if transform in (Transform.LOWERCASE, Transform.UPPERCASE) and field.kind is not Kind.TEXT:
        yield "transform", f"{field.target} is of type {field.kind}; {transform} is for text."
    if transform is Transform.TRIM and field.kind is Kind.JSON:
        yield "transform", f"{field.target} is of type {field.kind}; trim is for text."


def _expression(text: Any, field: Field | None) -> Iterator[tuple[str, str]]:
    if not isinstance(text, str) or not text.strip():
        yield "customTransform", "Transform custom needs an expression."
        return
    try:
        expression = Expression(text)
        if is_too_dear(expression):
            yield (
                "customTransform",
                "For a large record it would take too long; in a loop, call functions of its variable only.",
            )
        if expression.is_constant:
            result = expression.evaluate(None, None, "")
            if field is not None:
                COERCIONS[field.kind](result, "")
    except Misuse as misuse:
        yield "customTransform", misuse.sentence
    except Reject:
        kind = field.kind if field is not None else "any"
        yield "customTransform", f"This constant gives no value of type {kind}."


def _uncovered(
    spec: EntitySpec, seen: Sequence[tuple[str, str | None, int]], streams: Sequence[str]
) -> Iterator[Problem]:
    """Required columns that no entry fills, unless a misspelled target explains it."""
    if any(spec.target(target) is None for target, _, _ in seen):
        return
    for field in spec.fields:
        if not field.is_required:
            continue
        lacking = [name for name in streams if field.target not in _filled(seen, name)]
        if lacking:
            yield Problem(0, field.target, f"{field.target} is required; no entry fills it for {', '.join(lacking)}.")


def _filled(seen: Sequence[tuple[str, str | None, int]], stream: str) -> set[str]:
    return {target for target, its_stream, _ in seen if its_stream in (None, stream)}
