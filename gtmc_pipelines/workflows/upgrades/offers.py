"""What today's default mappings have that a tenant's saved ones lack: offered, never taken unasked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.workflows.upgrades.fingerprints import digest

Entry = Mapping[str, Any]
_Place = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One line of an offer. `former` is the tenant's line it replaces, None for a new one; no `entry`: it goes."""

    entry: Entry | None
    former: Entry | None

    @property
    def kind(self) -> str:
        """`new`, `changed` or `gone`."""
        if self.entry is None:
            return "gone"
        return "new" if self.former is None else "changed"


@dataclass(frozen=True, slots=True)
class Offer:
    """The changes of the defaults of one entity that a tenant with a saved mapping of it can take.

    `version` is that of the defaults: what was declined is offered again only when they change again.
    """

    entity: Entity
    changes: tuple[Change, ...]
    version: str

    @property
    def step(self) -> str:
        """The id it is remembered by."""
        return offer_step(self.entity)


def offer_step(entity: Entity) -> str:
    """The id an entity's offer is remembered by."""
    return f"defaults:{entity}"


@cache
def former_defaults() -> Mapping[str, Mapping[str, Mapping[str, Sequence[Entry]]]]:
    """Default mappings of earlier versions: version, connector, entity, entries."""
    found: Mapping[str, Mapping[str, Mapping[str, Sequence[Entry]]]] = json.loads(
        Path(__file__).with_name("former_defaults.json").read_text(encoding="utf-8")
    )
    return found


def offer_of(connector: ConnectorType, entity: Entity, saved: Sequence[Entry]) -> Offer | None:
    """What a tenant whose saved mapping is `saved` is offered; None when there is nothing."""
    today = [entry.as_dict() for entry in connector_of(connector).default_mappings().get(entity, ())]
    former = [versions.get(connector.value, {}).get(entity.value, ()) for versions in former_defaults().values()]
    changes = tuple(_changes([_plain(entry) for entry in saved if isinstance(entry, Mapping)], former, today))
    return Offer(entity, changes, digest(today)) if changes else None


def taken(connector: ConnectorType, offer: Offer, saved: Sequence[Entry]) -> list[Entry]:
    """The tenant's mapping with the offer in it, theirs in their order. Raises Misuse when that isn't a mapping."""
    by_former = {_place(change.former): change.entry for change in offer.changes if change.former is not None}
    kept = [by_former.get(_place(entry), entry) if isinstance(entry, Mapping) else entry for entry in saved]
    new = [change.entry for change in offer.changes if change.former is None]
    listed = [entry for entry in (*kept, *new) if entry is not None]
    streams = [stream.name for stream in STREAMS[connector] if offer.entity in stream.entities]
    problems = validate(offer.entity, listed, streams)
    if problems:
        raise Misuse(
            "offer_refused",
            f"The saved {offer.entity} mapping of {connector.label} can't take the new defaults: "
            f"{problems[0].sentence}",
            next_step="Edit it by hand: `gtmc mappings show` prints it, `gtmc mappings set` saves it.",
        )
    return listed


def _changes(saved: Sequence[Entry], former: Sequence[Sequence[Entry]], today: Sequence[Entry]) -> Iterable[Change]:
    """A line nobody ever changed follows the defaults; one that was edited, or left out, is their decision."""
    theirs = {_place(entry): entry for entry in saved}
    before = [{_place(entry): _plain(entry) for entry in entries} for entries in former]
    for entry in today:
        place = _place(entry)
        mine = theirs.get(place)
        if mine == entry:
            continue
        if mine is None and not any(place in version for version in before) and not _is_filled(theirs, place):
            yield Change(entry, None)
        elif mine is not None and any(version.get(place) == mine for version in before):
            yield Change(entry, mine)
    places = {_place(entry) for entry in today}
    for place, mine in theirs.items():
        if place not in places and any(version.get(place) == mine for version in before):
            yield Change(None, mine)


def _is_filled(theirs: Mapping[_Place, Entry], place: _Place) -> bool:
    """Whether a line of theirs fills the same target in a stream of this place."""
    target, stream = place
    return any(name == target and (other is None or stream is None) for name, other in theirs)


def _place(entry: Entry | None) -> _Place:
    assert entry is not None
    return str(entry.get("targetField")), entry.get("stream")


def _plain(entry: Entry) -> Entry:
    """Without what says nothing: keys that stand at their defaults."""
    plain = {"transform": "none", **{name: value for name, value in entry.items() if value is not None}}
    if not plain.get("required"):
        plain.pop("required", None)
    return plain
