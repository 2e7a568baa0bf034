"""The mapping of `connectors.field_mappings`, a column from before mappings had a table of their own.

The platform names the column and not its format. Three are understood, see README.md; whatever else it holds is
refused with its place, and nothing of it is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import ENTITIES, MAPPABLE, Entity

_OTHER_NAMES = {
    "accounts": Entity.ACCOUNT,
    "persons": Entity.PERSON,
    "people": Entity.PERSON,
    "opportunities": Entity.OPPORTUNITY,
    "activities": Entity.ACTIVITY,
}
_PEOPLE = ("contact", "contacts")  # a stream of its own in Salesforce, elsewhere another word for people
_EMPTY_IS_UNSET = ("transform", "customTransform", "required", "stream")
_SHOWN = 40  # characters of a key that a message repeats


@dataclass(frozen=True, slots=True)
class LegacyProblem:
    """What can't be understood, and where. `entity` is the only one it concerns; None: it may concern any."""

    entity: Entity | None
    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}" if self.place else self.sentence


@dataclass(frozen=True, slots=True)
class LegacyMapping:
    """What a connector's column says: `entries` of each entity it maps, and what of it can't be understood.

    An entity with a problem of its own has no entries. Entities it says nothing of are mapped by the defaults.
    """

    entries: Mapping[Entity, tuple[MappingEntry, ...]]
    problems: tuple[LegacyProblem, ...]

    def problem_of(self, entity: Entity) -> LegacyProblem | None:
        """Why an entity can't be mapped: as long as something may concern it, the defaults would be a guess."""
        if entity not in MAPPABLE:
            return None
        return next((problem for problem in self.problems if problem.entity in (None, entity)), None)


@dataclass(frozen=True, slots=True)
class _Part:
    """Entries as they came, with the place of each; of all streams of the entity, or of the one that was named."""

    entity: Entity
    stream: str | None
    items: tuple[tuple[str, Any], ...]


class _Refused(Exception):
    def __init__(self, place: str, sentence: str, entity: Entity | None = None) -> None:
        super().__init__(sentence)
        self.problem = LegacyProblem(entity, place, sentence)


def read_legacy(
    document: Any, streams: Sequence[Stream], defaults: Mapping[Entity, Sequence[MappingEntry]]
) -> LegacyMapping | None:
    """What the column holds, for a connector with these streams and default mappings; None when it says nothing.

    Never raises: what can't be understood is among the problems.
    """
    problems: list[LegacyProblem] = []
    parts: list[_Part] = []
    for read in _parts(document, streams):
        if isinstance(read, LegacyProblem):
            problems.append(read)
        elif read.items:
            parts.append(read)
    problems += _said_twice(parts)
    for part in parts:
        problems += _faults(part, _names(part, streams))
    spoiled = {problem.entity for problem in problems}
    entries = {
        entity: _whole([part for part in parts if part.entity is entity], streams, defaults)
        for entity in MAPPABLE  # jsonb keeps no order
        if entity not in spoiled and any(part.entity is entity for part in parts)
    }
    return LegacyMapping(entries, tuple(problems)) if entries or problems else None


def _parts(document: Any, streams: Sequence[Stream]) -> Iterator[_Part | LegacyProblem]:
    if document is None:
        return
    if isinstance(document, list):
        yield from _of_list(document, streams)
    elif isinstance(document, dict):
        for name, content in document.items():
            try:
                yield _of_key(name, content, streams)
            except _Refused as refused:
                yield refused.problem
    else:
        yield LegacyProblem(None, "", "It is neither a list of entries nor an object with a list for each entity.")


def _of_key(name: str, content: Any, streams: Sequence[Stream]) -> _Part:
    """A list of entries, or an object of target and source fields, under the name of what they are for."""
    shown = repr(name[:_SHOWN])
    entity, stream = _meant(name, streams, shown)
    if isinstance(content, list):
        return _Part(
            entity, stream, tuple((f"{shown}, entry {n}", _plain(item)) for n, item in enumerate(content, start=1))
        )
    if isinstance(content, dict):
        items = []
        for target, source in content.items():
            place = f"{shown}, {target[:_SHOWN]!r}"
            if not isinstance(source, str):
                raise _Refused(place, "It must be the name of a source field.", entity)
            items.append((place, {"sourceField": source, "targetField": target}))
        return _Part(entity, stream, tuple(items))
    raise _Refused(shown, "It is neither a list of entries nor an object of target and source fields.", entity)


def _of_list(document: Sequence[Any], streams: Sequence[Stream]) -> Iterator[_Part | LegacyProblem]:
    """One list for all entities: `entityType` says whose an entry is, or there is only one it can be."""
    found: dict[tuple[Entity, str | None], list[tuple[str, Any]]] = {}
    unnamed: list[tuple[str, Any]] = []
    for position, item in enumerate(document, start=1):
        place = f"entry {position}"
        if not isinstance(item, dict):
            yield LegacyProblem(None, place, "It is not an object.")
            continue
        entry = _plain(item)
        name = entry.pop("entityType", None)
        if name is None:
            unnamed.append((place, entry))
            continue
        try:
            found.setdefault(_meant(name, streams, f"{place}, entityType"), []).append((place, entry))
        except _Refused as refused:
            yield refused.problem
    if unnamed:
        fitting = _fitting([entry for _, entry in unnamed], streams)
        if len(fitting) == 1:
            found.setdefault((fitting[0], None), []).extend(unnamed)
        else:
            which = f"fit {' and '.join(fitting)}" if fitting else "fit no single entity"
            sentence = f"It is missing, and the target fields of the entries without one {which}."
            yield LegacyProblem(None, f"{unnamed[0][0]}, entityType", sentence)
    for (entity, stream), items in found.items():
        yield _Part(entity, stream, tuple(items))


def _plain(item: Any) -> Any:
    """An entry without optional keys that are there and say nothing."""
    if not isinstance(item, dict):
        return item
    return {key: value for key, value in item.items() if not (key in _EMPTY_IS_UNSET and value in (None, ""))}


def _fitting(entries: Sequence[Mapping[str, Any]], streams: Sequence[Stream]) -> list[Entity]:
    """Entities of the connector that have every one of these target fields; the only one there is needs no proof."""
    fed = _fed(streams)
    targets = [entry.get("targetField") for entry in entries]
    return fed if len(fed) == 1 else [entity for entity in fed if all(_has(entity, target) for target in targets)]


def _has(entity: Entity, target: Any) -> bool:
    return isinstance(target, str) and ENTITIES[entity].target(target) is not None


def _fed(streams: Sequence[Stream]) -> list[Entity]:
    return [entity for entity in MAPPABLE if any(entity in stream.entities for stream in streams)]


def _meant(name: Any, streams: Sequence[Stream], place: str) -> tuple[Entity, str | None]:
    """The entity of a name, and the stream when the name is that of one (`Contact`) among several of its entity."""
    fed = _fed(streams)
    word = name.strip().lower() if isinstance(name, str) else ""
    entity = next((each for each in fed if word in (each.value, each.value + "s")), _OTHER_NAMES.get(word))
    if entity in fed:
        return entity, None
    named = [stream for stream in streams if word in _words_of(stream)]
    entities = [entity for stream in named for entity in stream.entities if entity in fed]
    if len(named) == 1 and len(entities) == 1:
        is_one_of_several = sum(entities[0] in stream.entities for stream in streams) > 1
        return entities[0], named[0].name if is_one_of_several else None
    if word in _PEOPLE and Entity.PERSON in fed:
        return Entity.PERSON, None
    raise _Refused(place, f"No entity that the connector feeds is called so; there are: {', '.join(fed)}.")


def _words_of(stream: Stream) -> tuple[str, str]:
    return stream.name, stream.name.removesuffix("s")


def _said_twice(parts: Sequence[_Part]) -> Iterator[LegacyProblem]:
    """Two lists for the same records: `person` and `People`, or `person` and `contacts`."""
    seen: list[_Part] = []
    for part in parts:
        rivals = [
            other
            for other in seen
            if other.entity is part.entity and (None in (other.stream, part.stream) or other.stream == part.stream)
        ]
        if rivals:
            sentence = f"The {part.entity} is mapped at {rivals[0].items[0][0]} already."
            yield LegacyProblem(part.entity, part.items[0][0], sentence)
        seen.append(part)


def _names(part: _Part, streams: Sequence[Stream]) -> list[str]:
    """The streams a part is for."""
    return [part.stream] if part.stream else [stream.name for stream in streams if part.entity in stream.entities]


def _faults(part: _Part, streams: Sequence[str]) -> Iterator[LegacyProblem]:
    """What `gtmc mappings set` would refuse, too."""
    for problem in validate(part.entity, [entry for _, entry in part.items], streams):
        place = f"{part.items[problem.position - 1][0]}, {problem.field}" if problem.position else part.entity.value
        yield LegacyProblem(part.entity, place, problem.sentence)


def _whole(
    parts: Sequence[_Part], streams: Sequence[Stream], defaults: Mapping[Entity, Sequence[MappingEntry]]
) -> tuple[MappingEntry, ...]:
    """The entries of one entity; streams that no part speaks of keep their default entries."""
    entries = [
        replace(entry, stream=part.stream) if part.stream else entry
        for part in parts
        for entry in (MappingEntry.of(item) for _, item in part.items)
    ]
    spoken_of = {name for part in parts for name in _names(part, streams)}
    for stream in streams:
        if parts[0].entity in stream.entities and stream.name not in spoken_of:
            wanted = (entry for entry in defaults[parts[0].entity] if entry.stream in (None, stream.name))
            entries += (replace(entry, stream=stream.name) for entry in wanted)
    return tuple(entries)
