"""Bytes of bodies that all sessions of this process hold at one time, and who gives way when there are too many.

A body counts from its first bytes until its thread's next answer comes, or the session is closed. When the next
bytes would be too many, the largest body still growing has to go: its request is cut short and tried again later.
So a vendor with huge answers is in its own way first, and nobody's small page ever waits for more than that.
"""

from __future__ import annotations

import threading
import weakref

from gtmc_pipelines.connectors.deadlines import Deadline

MOST_IN_HAND = 320 * 1024 * 1024
"""One body of the largest size there may be, and room for many of the usual one."""

_STEP_BYTES = 1024 * 1024
_PAUSE_SECONDS = 0.2


class GaveWay(Exception):
    """This body had to go, so that the others find room."""


class Handful:
    """The body one thread of one session holds."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self.size = 0
        self.deadline: Deadline | None = None  # while the body grows
        self.gives_way = False

    def begin(self, deadline: Deadline) -> None:
        """A new answer comes; the one before is no longer held."""
        self.size, self.deadline, self.gives_way = 0, deadline, False

    def grow_to(self, size: int) -> None:
        """Make room for so many bytes. Raises GaveWay; waits, within the deadline, for those who give way to it."""
        if size > self.size:
            self._hand.make_room(self, -(-size // _STEP_BYTES) * _STEP_BYTES)

    def is_whole(self) -> None:
        """The body has come; it is held until the next one begins."""
        self.deadline = None

    def drop(self) -> None:
        """Nothing is held any more."""
        self.size, self.deadline = 0, None


class Hand:
    """All handfuls of a process: together at most `most` bytes."""

    def __init__(self, most: int = MOST_IN_HAND) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._handfuls: weakref.WeakSet[Handful] = weakref.WeakSet()

    def handful(self) -> Handful:
        """An empty one; it counts for as long as somebody keeps it."""
        made = Handful(self)
        with self._changed:
            self._handfuls.add(made)
        return made

    @property
    def held(self) -> int:
        """Bytes held now."""
        with self._changed:
            return sum(each.size for each in self._handfuls)

    def make_room(self, handful: Handful, size: int) -> None:
        """Let `handful` have `size` bytes once there is room. Raises GaveWay when it is itself the one to go."""
        with self._changed:
            while True:
                if handful.gives_way or handful.deadline is None or handful.deadline.is_over:
                    raise GaveWay
                others = sum(each.size for each in self._handfuls if each is not handful)
                if others + size <= self._most:
                    handful.size = size
                    return
                growing = [each for each in self._handfuls if each is not handful and each.deadline is not None]
                largest = max(growing, key=lambda each: each.size, default=handful)
                if largest.size <= handful.size:
                    raise GaveWay
                self._evict(largest)
                self._changed.wait(_PAUSE_SECONDS)

    @staticmethod
    def _evict(handful: Handful) -> None:
        handful.gives_way = True
        if handful.deadline is not None:
            handful.deadline.cut()


HAND = Hand()
"""This process's."""
