"""One imitated workspace: its people, deliveries and activities, its keys, and its bucket of requests."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.sandbox.customerio.activities import Activities
from gtmc_pipelines.sandbox.customerio.messages import Messages
from gtmc_pipelines.sandbox.customerio.people import Patch, People
from gtmc_pipelines.sandbox.dice import key_of, token
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.world import DEFAULT_COMPANIES, World

REQUESTS_PER_SECOND = 10
SIZES: Mapping[str, int] = {
    "customerio_people": 300,
    "customerio_messages": 800,
    "customerio_activities": 1500,
    "customerio_requests_per_second": REQUESTS_PER_SECOND,
}


@dataclass(slots=True)
class Export:
    """An export asked for; it is done when somebody looks."""

    kind: str
    rows: list[Mapping[str, Any]]
    is_done: bool = False
    downloads: int = 0


class Workspace:
    """A workspace and everything in it. `anchor` is the unix time its seeded data ends at."""

    def __init__(self, name: str, seed: int, sizes: Mapping[str, int], anchor: int) -> None:
        self.name, self.anchor = name, anchor
        self.code = f"{key_of(seed, name, 'workspace') & 0xFFFF:04x}"
        self.number = 1000 + key_of(seed, name, "workspace") % 9000
        self.api_key = token(32, seed, name, "customerio app key").lower()
        self.eu_api_key = token(32, seed, name, "customerio app key of the EU").lower()
        self.site_id, self.track_key = token(20, seed, name, "site").lower(), token(20, seed, name, "track").lower()
        live = {**SIZES, **{size: sizes[size] for size in SIZES if size in sizes}}
        world = World(seed, name, companies=sizes.get("accounts", DEFAULT_COMPANIES) or 1)
        self.people = People(world, self.code, live["customerio_people"], anchor)
        self.messages = Messages(self.people, live["customerio_messages"], anchor)
        self.activities = Activities(self.messages, live["customerio_activities"], anchor)
        self.requests_per_second = max(1, live["customerio_requests_per_second"])
        self._arrivals: deque[float] = deque(maxlen=self.requests_per_second)
        self.last_served: dict[str, list[Any]] = {}
        self.exports: dict[int, Export] = {}
        self.download_token = token(24, seed, name, "customerio downloads")

    def admits(self) -> bool:
        """Take a place in the bucket all requests share: so many in any second."""
        now = time.monotonic()
        if len(self._arrivals) == self.requests_per_second and now - self._arrivals[0] < 1.0:
            return False
        self._arrivals.append(now)
        return True

    def sizes(self) -> list[int]:
        """How many of each kind were seeded."""
        return [self.people.base, self.messages.timeline.base, self.activities.timeline.base]

    def dump(self) -> dict[str, Any]:
        """What has changed since the beginning."""
        people = self.people.patches
        return {
            "sizes": self.sizes(),
            "people": [[index, patch.values, patch.stamps, patch.is_deleted] for index, patch in people.items()],
            "messages": [[at, index] for at, index in self.messages.timeline.added()],
            "message_patches": list(self.messages.patches.items()),
            "activities": [[at, index] for at, index in self.activities.timeline.added()],
            "activity_patches": list(self.activities.patches.items()),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave. Raises SandboxMisuse when it was written with other sizes."""
        if state["sizes"] != self.sizes():
            raise SandboxMisuse("The state folder was written with another --size of Customer.io's data.")
        for index, values, stamps, is_deleted in state["people"]:
            self.people.patches[index] = Patch(dict(values), dict(stamps), is_deleted)
            self.people.next_index = max(self.people.next_index, index + 1)
        for log, times, patches in (
            (self.messages, state["messages"], state["message_patches"]),
            (self.activities, state["activities"], state["activity_patches"]),
        ):
            for at, index in times:
                log.timeline.add(at, index)
            log.patches.update({index: dict(patch) for index, patch in patches})
