"""An event log, newest first: seeded entries by arithmetic, later ones merged in, cursors that survive new heads."""

from __future__ import annotations

import base64
from bisect import bisect_left, insort
from collections.abc import Iterator

Position = tuple[int, int]
"""Time in unix seconds and index: the order of a log."""


class Timeline:
    """Entries 0 … `base` - 1 are spread evenly over [begin, end); those added later have a time of their own."""

    def __init__(self, base: int, begin: int, end: int) -> None:
        self.base, self.begin, self.end = base, begin, end
        self.next_index = base
        self._times: dict[int, int] = {}
        self._added: list[Position] = []

    def time_of(self, index: int) -> int:
        """When an entry happened."""
        if index >= self.base:
            return self._times[index]
        return self.begin + index * (self.end - self.begin) // max(1, self.base)

    def add(self, time: int, index: int | None = None) -> int:
        """Add an entry, by default under the next index; gives the index."""
        index = self.next_index if index is None else index
        self.next_index = max(self.next_index, index + 1)
        self._times[index] = time
        insort(self._added, (time, index))
        return index

    def exists(self, index: int) -> bool:
        """Whether there is such an entry."""
        return 0 <= index < self.base or index in self._times

    def added(self) -> list[Position]:
        """Entries added later, oldest first."""
        return list(self._added)

    def newest_first(self, before: Position | None = None, highest: int | None = None) -> Iterator[Position]:
        """Entries that come after `before` in this order, none later than `highest`."""
        bound = before if before is not None else (2**62, 0)
        if highest is not None:
            bound = min(bound, (highest + 1, -1))
        seeded = bisect_left(range(self.base), bound, key=lambda index: (self.time_of(index), index)) - 1
        late = bisect_left(self._added, bound) - 1
        while seeded >= 0 or late >= 0:
            old = (self.time_of(seeded), seeded) if seeded >= 0 else None
            new = self._added[late] if late >= 0 else None
            if old is None or (new is not None and new > old):
                assert new is not None
                late -= 1
                yield new
            else:
                seeded -= 1
                yield old


def cursor_of(position: Position | None) -> str:
    """The opaque text for "what comes after this"; of None, for the beginning."""
    plain = "top" if position is None else f"{position[0]}.{position[1]}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def position_of(cursor: str) -> Position | None:
    """The position behind a cursor. Raises ValueError for a text that is none."""
    plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    if plain == "top":
        return None
    time, _, index = plain.partition(".")
    return int(time), int(index)
