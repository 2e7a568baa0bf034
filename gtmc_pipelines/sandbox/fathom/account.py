"""One imitated Fathom account: which meetings there are, in what order, and what was changed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.sandbox.fathom.meetings import Includes, Meetings


@dataclass(slots=True)
class Patch:
    """Changes to one meeting. `created` is set for meetings that aren't seeded."""

    changes: dict[str, Any] = field(default_factory=dict)
    created: int | None = None
    is_deleted: bool = False


class Account:
    """`total` seeded meetings numbered from 0, oldest first; made ones get the numbers after them."""

    def __init__(self, seed: int, name: str, sizes: Mapping[str, int]) -> None:
        self.name = name
        self.total = sizes["meetings"]
        self.meetings = Meetings(seed, name, sizes["transcript_bytes"])
        self.patches: dict[int, Patch] = {}
        self.next_number = self.total

    def number_of(self, recording_id: str) -> int | None:
        """The number of a live or deleted meeting by its recording id, None when there is no such meeting."""
        number = int(recording_id) - self.meetings.first_id if recording_id.isdigit() else -1
        return number if 0 <= number < self.next_number else None

    def id_of(self, number: int) -> str:
        """The recording id of a number."""
        return str(self.meetings.first_id + number)

    def is_live(self, number: int) -> bool:
        """Whether the meeting is there for readers."""
        patch = self.patches.get(number)
        return patch is None or not patch.is_deleted

    def patch(self, number: int) -> Patch:
        """The patch of a meeting, made when there is none."""
        return self.patches.setdefault(number, Patch())

    def make(self, created: int, changes: Mapping[str, Any]) -> int:
        """A new meeting; gives its number."""
        number = self.next_number
        self.patches[number] = Patch(dict(changes), created)
        self.next_number += 1
        return number

    def created(self, number: int) -> int:
        """Unix seconds of a meeting's creation."""
        patch = self.patches.get(number)
        return self.meetings.created(number, self.total) if patch is None or patch.created is None else patch.created

    def window(self, after: int | None, before: int | None) -> Sequence[int]:
        """Numbers of live meetings made from `after` to `before` (both included), newest first."""
        seeded = range(self.total)
        low = 0 if after is None else bisect_left(seeded, after, key=self.created)
        high = self.total if before is None else bisect_right(seeded, before, key=self.created)
        if not self.patches:
            return range(high - 1, low - 1, -1)
        found = [number for number in range(low, max(low, high)) if self.is_live(number)]
        found += [
            number
            for number, patch in self.patches.items()
            if patch.created is not None
            and not patch.is_deleted
            and (after is None or patch.created >= after)
            and (before is None or patch.created <= before)
        ]
        return sorted(found, key=lambda number: (self.created(number), number), reverse=True)

    def counts(self) -> tuple[int, int]:
        """Live and deleted meetings."""
        deleted = sum(patch.is_deleted for patch in self.patches.values())
        return self.next_number - deleted, deleted

    def changes_of(self, number: int) -> Mapping[str, Any]:
        """What was changed of a meeting."""
        patch = self.patches.get(number)
        return patch.changes if patch else {}

    def document(self, number: int, wanted: Includes) -> dict[str, Any]:
        """A meeting as the API words it."""
        return self.meetings.document(number, self.created(number), self.changes_of(number), wanted)

    def dump(self) -> dict[str, Any]:
        """Changes, JSON-ready."""
        touched = [[number, one.changes, one.created, one.is_deleted] for number, one in self.patches.items()]
        return {"total": self.total, "patches": touched}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave."""
        for number, changes, created, is_deleted in state["patches"]:
            self.patches[number] = Patch(changes, created, is_deleted)
            self.next_number = max(self.next_number, number + 1)
