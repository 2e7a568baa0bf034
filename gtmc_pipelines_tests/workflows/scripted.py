"""A connector that does as it is told: pages, faults and gates in the order a test writes them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import (
    Census,
    Found,
    Health,
    Page,
    ReadFrom,
    Slice,
    SourceField,
    SourceRecord,
    Unseen,
)

STAMP = datetime(2026, 1, 1, tzinfo=UTC)
CANARY_EMAIL = "canary.person@example-canary.test"
CANARY_TOKEN = "canary-access-token-0123456789abcdef"

_ENTRIES: Mapping[Entity, Sequence[MappingEntry]] = {
    Entity.ACCOUNT: (MappingEntry("Name", "name"),),
    Entity.PERSON: (MappingEntry("Name", "lastName"), MappingEntry("Email", "email")),
    Entity.OPPORTUNITY: (MappingEntry("Name", "name"), MappingEntry("Name", "stage")),
    Entity.ACTIVITY: (
        MappingEntry("Name", "type"),
        MappingEntry("Name", "channel"),
        MappingEntry("At", "occurredAt"),
    ),
}

Step = list[SourceRecord] | Exception | Callable[[], None]
"""A page of records, a fault to raise once, or something to do before the next page."""


def people(count: int, start: int = 0) -> list[SourceRecord]:
    """Records with an e-mail address that must never be seen in a history."""
    return [
        SourceRecord(f"P{number:06}", json.dumps({"Name": f"Person {number}", "Email": CANARY_EMAIL}).encode(), STAMP)
        for number in range(start, start + count)
    ]


class Gate:
    """Holds the reader until the test opens it; tells when the reader has come to it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(30)


@dataclass
class ScriptedSession:
    """A session that only knows whether it was closed."""

    usage: Mapping[str, int] = field(default_factory=dict)
    is_closed: bool = False

    def close(self) -> None:
        self.is_closed = True


@dataclass
class ScriptedConnector:
    """`script` names the steps of each stream; a stream without one is empty. Reads are noted in `reads`."""

    script: dict[str, list[Step]] = field(default_factory=dict)
    on_authenticate: Exception | None = None
    reads: list[tuple[str, ReadFrom]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    present: set[str] = field(default_factory=set)
    counted: list[Census] = field(default_factory=list)
    on_census: Exception | None = None
    type: ConnectorType = ConnectorType.SALESFORCE
    streams: tuple[Stream, ...] = STREAMS[ConnectorType.SALESFORCE]

    def authenticate(self, credentials: Any, settings: Any) -> ScriptedSession:
        credentials.read()
        if self.on_authenticate is not None:
            raise self.on_authenticate
        return ScriptedSession()

    def health_check(self, session: Any) -> Health:
        return Health(True, "", "")

    def slices(self, session: Any, stream: Stream) -> Sequence[Slice]:
        return (Slice(""),)

    def read(self, session: Any, stream: Stream, start: ReadFrom) -> Iterator[Page]:
        self.reads.append((stream.name, start))
        steps = self.script.get(stream.name, [])
        place = int(start.checkpoint or 0)
        while place < len(steps):
            step = steps[place]
            place += 1
            if isinstance(step, Exception):
                steps[place - 1] = []  # raised once: the next attempt gets past it
                raise step
            if callable(step):
                step()
                continue
            yield Page(step, str(place), None)
        yield Page([], None, start.until.isoformat())

    def still_there(self, session: Any, stream: Stream, part: str, unseen: Sequence[Unseen]) -> Iterator[Found]:
        self.asked += [one.external_id for one in unseen]
        yield Found(present=[one.external_id for one in unseen if one.external_id in self.present])

    def has_slice(self, session: Any, stream: Stream, key: str) -> bool:
        return True

    def census(self, session: Any, stream: Stream, until: datetime, turn: int) -> Iterator[Census]:
        if self.on_census is not None:
            raise self.on_census
        yield from self.counted

    def describe_fields(self, session: Any, entity: Entity) -> list[SourceField]:
        return []

    def default_mappings(self) -> Mapping[Entity, Sequence[MappingEntry]]:
        return _ENTRIES
