"""Lanes: per mailbox, the vendor's request limit and its latest wish to be left alone."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from urllib.parse import unquote

from gtmc_pipelines.connectors.pacing import Pace

MAILBOX_REQUESTS = 10_000
MAILBOX_SECONDS = 600.0
MOST_AT_ONCE = 4
"""Requests one mailbox takes at the same time (per app and mailbox; the stricter reading of the documents)."""

Wait = Callable[[float], None]

_USER = re.compile(r"/users(?:/|\(')([^/'()?]+)")


class Lane:
    """One mailbox's way in; shared by the threads that read its folders."""

    def __init__(self, limit: int, seconds: float, pause: Wait, wait_as_asked: Wait) -> None:
        self._pace = Pace(limit, seconds, sleep=pause)
        self._wait_as_asked = wait_as_asked
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._closed_until = 0.0
        self.was_held = 0

    def __enter__(self) -> None:
        """Wait for a place: limit, concurrency and the vendor's last wish."""
        self._places.acquire()
        try:
            left = self._closed_until - time.monotonic()
            if left > 0:
                self._wait_as_asked(left)
            self._pace.take()
        except BaseException:
            self._places.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._places.release()

    def hold(self, seconds: float) -> None:
        """Nothing more goes this way for so long."""
        self._closed_until = max(self._closed_until, time.monotonic() + seconds)
        self.was_held += 1


class Lanes:
    """A lane per mailbox, made when first used; the newest few are kept, as mailboxes are read one by one."""

    _MOST = 64

    def __init__(self, limit: int, seconds: float, pause: Wait, wait_as_asked: Wait) -> None:
        self._limits = (limit, seconds, pause, wait_as_asked)
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()

    def of(self, url: str) -> Lane:
        """The lane of a URL: that of its mailbox, or the one of everything else."""
        key = user_in(url)
        with self._lock:
            if key not in self._lanes:
                while len(self._lanes) >= self._MOST:
                    self._lanes.pop(next(iter(self._lanes)))
                self._lanes[key] = Lane(*self._limits)
            return self._lanes[key]


def user_in(url: str) -> str:
    """The user a Graph URL is about, in either spelling, lower case; "" when it names none."""
    found = _USER.search(unquote(url.partition("?")[0]))
    return found[1].lower() if found else ""
