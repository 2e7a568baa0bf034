"""Intent signals of one organization: seeded ones worked out from their number, new ones kept, in order of time."""

from __future__ import annotations

import time
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from gtmc_pipelines.sandbox.dice import key_of, roll
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.world import World

DAY_MS = 86_400_000
SPAN_MS = 60 * DAY_MS
"""Seeded signals lie in the 60 days before the anchor: well inside the 90 days a first sync reaches back."""
FIELDS = ("personId", "personEmail", "accountDomain", "contentUrl", "contentTopic", "dwellTimeSeconds", "sessionId")

TOPICS = ("pricing", "security", "integrations", "case studies", "API documentation", "Größe & Maß", "careers", None)
_PAGES = ("pricing", "security", "integrations?from=a+b", "cases/42", "docs/api#top", "gr%C3%B6%C3%9Fe", "jobs", "")

Key = tuple[int, int]
"""Moment in unix milliseconds and number of a signal: the order in which they are read."""


def midnight_ms() -> int:
    """The last midnight UTC."""
    return int(time.time() * 1000) // DAY_MS * DAY_MS


def iso(moment_ms: int) -> str:
    """`2026-01-15T09:30:00.000Z`."""
    text = datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Signals:
    """Signals by number. Each is a person of the world reading a page; the person's number is in its id."""

    def __init__(self, seed: int, world: World, count: int, people: int, anchor_ms: int) -> None:
        self._key = key_of(seed, world.tenant, "signals")
        self._world, self._people = world, max(1, people)
        self.base, self.anchor_ms = count, anchor_ms
        self.patches: dict[int, dict[str, Any]] = {}
        self.created: dict[int, int] = {}
        self._order: list[Key] = []

    def __len__(self) -> int:
        return self.base + len(self.created)

    def moment(self, number: int) -> int:
        """When a signal happened, in unix milliseconds."""
        if number >= self.base:
            return self.created[number]
        return self.anchor_ms - SPAN_MS + number * SPAN_MS // self.base

    def create(self, moment_ms: int, fields: Mapping[str, Any]) -> int:
        """A new signal at a moment, late when that is in the past; gives its number."""
        number = self.base + len(self.created)
        self._check(fields)
        self.place(number, moment_ms)
        if fields:
            self.patches[number] = dict(fields)
        return number

    def place(self, number: int, moment_ms: int) -> None:
        """Take up a created signal."""
        self.created[number] = moment_ms
        insort(self._order, (moment_ms, number))

    def update(self, number: int, fields: Mapping[str, Any]) -> None:
        """Change what a signal says; its time stays."""
        self._check(fields)
        self.patches[number] = self.patches.get(number, {}) | (dict(fields) or {"dwellTimeSeconds": 99.5 + number})

    def number_of(self, signal_id: str) -> int:
        """The number behind an id. Raises SandboxMisuse for an unknown one."""
        number = signal_id.removeprefix("sig_")
        if not number.isdigit() or int(number) >= len(self):
            raise SandboxMisuse(f"There is no signal {signal_id!r}.")
        return int(number)

    def after(self, key: Key, below_ms: int | None, limit: int) -> list[Key]:
        """At most `limit` keys after `key` in order of time, those before `below_ms` only."""
        found: list[Key] = []
        seeded = bisect_right(range(self.base), key, key=lambda number: (self.moment(number), number))
        made = bisect_right(self._order, key)
        while len(found) < limit and (seeded < self.base or made < len(self._order)):
            first = (self.moment(seeded), seeded) if seeded < self.base else None
            second = self._order[made] if made < len(self._order) else None
            if second is None or (first is not None and first < second):
                assert first is not None
                chosen, seeded = first, seeded + 1
            else:
                chosen, made = second, made + 1
            if below_ms is not None and chosen[0] >= below_ms:
                break
            found.append(chosen)
        return found

    def window(self, start_ms: int, below_ms: int) -> Iterator[Key]:
        """All keys of a window, in order."""
        key: Key = (start_ms, -1)
        while keys := self.after(key, below_ms, 500):
            yield from keys
            key = keys[-1]

    def record(self, number: int) -> dict[str, Any]:
        """A signal as the platform's contract words it."""
        dice = roll(self._key, number)
        person = self._world.person(dice % self._people)
        topic = (dice >> 20) % len(TOPICS)
        known = (dice >> 28) % 4 != 0
        domain = self._world.company(person.company).domain
        document: dict[str, Any] = {
            "id": f"sig_{number}",
            "personId": f"p_{person.number}",
            "personEmail": person.email if known else None,
            "accountDomain": domain.title() if (dice >> 31) % 17 == 0 else domain,
            "contentUrl": f"https://{self._world.tenant}.example/{_PAGES[topic]}",
            "contentTopic": TOPICS[topic],
            "occurredAt": iso(self.moment(number)),
            "dwellTimeSeconds": round((dice >> 36) % 6000 / 10, 1),
            "sessionId": f"s_{(dice >> 44) % 100_000}",
        }
        return document | self.patches.get(number, {})

    def event(self, number: int, *, is_enriched: bool) -> dict[str, Any]:
        """The same as a row of the public API's events: no dwell time there, people by hashed e-mail."""
        signal = self.record(number)
        person = str(signal["personEmail"] or signal["personId"])
        row: dict[str, Any] = {
            "event_id": f"ev_{number}",
            "event_type": "page_view",
            "timestamp_ms": self.moment(number),
            "url": signal["contentUrl"],
            "page_title": signal["contentTopic"],
            "session_id": signal["sessionId"],
            "hem": sha256(person.encode()).hexdigest(),
        }
        if is_enriched:
            row |= {"email": signal["personEmail"], "company_domain": signal["accountDomain"]}
        return row

    def _check(self, fields: Mapping[str, Any]) -> None:
        strange = sorted(set(fields) - set(FIELDS))
        if strange:
            raise SandboxMisuse(f"A signal's {strange[0]} can't be set; known are {', '.join(FIELDS)}.")
