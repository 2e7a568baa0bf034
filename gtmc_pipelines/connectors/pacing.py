"""Pacing of requests: never more than a vendor allows in any window of time, and no slower than that."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

MARGIN = 1.05
"""Windows are stretched by this: the vendor counts arrivals, and the network moves them about."""


class Pace:
    """At most `limit` requests in any `per_seconds`, shared by all threads of a session.

    `take()` blocks until the next request may be sent. The first `limit` go at once, as the vendor
    allows; after that each waits for the one `limit` places before it to leave the window.
    """

    def __init__(
        self,
        limit: int,
        per_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if limit < 1 or per_seconds <= 0:
            raise ValueError("a pace needs at least one request in a positive time")
        self._window = per_seconds * MARGIN
        self._sent: deque[float] = deque(maxlen=limit)
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()

    def take(self) -> float:
        """Wait for a place and take it; gives the seconds waited."""
        with self._lock:
            now = self._clock()
            full = len(self._sent) == self._sent.maxlen
            at = max(now, self._sent[0] + self._window) if full else now
            self._sent.append(at)
        if at > now:
            self._sleep(at - now)
        return at - now
