"""Calls counted as Fathom counts them: a window of time for all, a tighter one for those with transcripts."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

LIMIT, SECONDS = 6_000, 60.0
"""A hundred times the vendor's, so that tests needn't wait; the knob `rate_window` sets another."""


@dataclass(slots=True)
class Window:
    """Calls of the last `seconds`: the moments at which they came."""

    at: deque[float] = field(default_factory=deque)

    def take(self, limit: int, seconds: float) -> bool:
        """Count a call unless the window is full."""
        now = time.monotonic()
        while self.at and self.at[0] <= now - seconds:
            self.at.popleft()
        if len(self.at) >= limit:
            return False
        self.at.append(now)
        return True

    def reset_seconds(self, seconds: float) -> int:
        """Whole seconds until the oldest call leaves the window, at least one."""
        left = self.at[0] + seconds - time.monotonic() if self.at else seconds
        return max(1, int(left) + 1)


@dataclass(slots=True)
class Limits:
    """Both windows of one account."""

    all: Window = field(default_factory=Window)
    heavy: Window = field(default_factory=Window)

    def take(self, *, is_heavy: bool, limit: int, heavy_limit: int, seconds: float) -> tuple[bool, dict[str, str]]:
        """Whether a call may pass, and the headers that say how much is left."""
        fits = self.all.take(limit, seconds)
        counting, most = self.all, limit
        if fits and is_heavy:
            fits = self.heavy.take(heavy_limit, seconds)
            counting, most = self.heavy, heavy_limit
        left = max(0, most - len(counting.at)) if fits else 0
        headers = {"ratelimit-limit": most, "ratelimit-remaining": left}
        headers["ratelimit-reset"] = counting.reset_seconds(seconds)
        return fits, {name: str(value) for name, value in headers.items()}
