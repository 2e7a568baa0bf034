"""A worker's slots and who has them: fairly shared among tenants, and never held while a vendor is silent.

More activities are begun than there are slots; each takes its turn. A free slot goes to the waiting tenant that holds
the fewest. One whose vendor is silent gives its slot back while others wait and takes a turn again for the answer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import ContextVar

_TICK_SECONDS = 0.5


class Turn:
    """One activity's way to a slot, and its hold on it. Safe to use from the loop and from the activity's thread."""

    def __init__(self, slots: Slots, tenant: str) -> None:
        self._slots = slots
        self.tenant = tenant
        self.granted: Future[None] = Future()
        self.has_slot = False
        self.gives_way = False

    def step_aside(self) -> None:
        """Give the slot back, if anybody waits for one: there is nothing to do until the vendor answers."""
        if self.has_slot and self._slots.has_waiting:
            self._slots.give_back(self)

    def step_in(self, on_wait: Callable[[], None]) -> None:
        """Have a slot; waits for one, calling `on_wait` twice a second, which may raise to stop waiting."""
        if self.has_slot:
            return
        self._slots.ask(self)
        while not self.has_slot:
            with suppress(TimeoutError):
                self.granted.result(_TICK_SECONDS)
            if not self.has_slot:
                on_wait()

    @property
    def should_give_way(self) -> bool:
        """Whether this tenant holds more than its share while others wait, and this is the one to end."""
        return self._slots.must_give_way(self)


class Slots:
    """`count` slots. A tenant's share is their number divided by that of the tenants who hold or wait, rounded up.

    While nobody else waits it may have more; then it gives back as many as the others wait for, down to its share.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._holding: list[Turn] = []
        self._waiting: list[Turn] = []
        self._lock = threading.RLock()

    def turn(self, tenant: str) -> Turn:
        """A place in the queue."""
        made = Turn(self, tenant)
        self.ask(made)
        return made

    @property
    def has_waiting(self) -> bool:
        """Whether anybody waits for a slot."""
        return bool(self._waiting)

    @property
    def held(self) -> Counter[str]:
        """Slots each tenant holds now."""
        with self._lock:
            return Counter(turn.tenant for turn in self._holding)

    def ask(self, turn: Turn) -> None:
        """Queue for a slot."""
        with self._lock:
            turn.granted = Future()
            self._waiting.append(turn)
            self._grant()

    def give_back(self, turn: Turn) -> None:
        """The slot is free again, or the turn is no longer waited for."""
        with self._lock:
            turn.has_slot = turn.gives_way = False
            for each in (self._holding, self._waiting):
                if turn in each:
                    each.remove(turn)
            self._grant()

    def must_give_way(self, turn: Turn) -> bool:
        """See Turn.should_give_way. As many of a tenant's turns are told so as it holds too many."""
        with self._lock:
            wanted = sum(each.tenant != turn.tenant for each in self._waiting)
            if not wanted or not turn.has_slot:
                return False
            mine = [each for each in self._holding if each.tenant == turn.tenant]
            told = sum(each.gives_way for each in mine)
            if not turn.gives_way and told < wanted and len(mine) - told > self._share():
                turn.gives_way = True
            return turn.gives_way

    def _share(self) -> int:
        tenants = {turn.tenant for turn in (*self._holding, *self._waiting)}
        return -(-self._count // max(1, len(tenants)))

    def _grant(self) -> None:
        while self._waiting and len(self._holding) < self._count:
            held = Counter(turn.tenant for turn in self._holding)
            chosen = min(self._waiting, key=lambda turn: held[turn.tenant])  # of equals the first
            self._waiting.remove(chosen)
            self._holding.append(chosen)
            chosen.has_slot = True
            chosen.granted.set_result(None)


TURN: ContextVar[Turn | None] = ContextVar("turn", default=None)
"""The turn of the activity that runs here; its threads for reading have none."""
