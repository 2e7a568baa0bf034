"""Live progress in the run log: phase changes at once, counts every few seconds, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gtmc_pipelines.workflows.progress import Progress

EVERY_SECONDS = 5.0


class Narrator:
    """Says what changed since it last spoke. `say` writes a line with values in its `{}`; `clock` gives seconds."""

    def __init__(self, say: Callable[..., None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._phase = self._note = ""
        self._counts: dict[str, Mapping[str, int]] = {}
        self._counted_at = clock()

    def tell(self, now: Progress) -> None:
        """Speak if there is news."""
        if now.phase and now.phase != self._phase:
            self._phase = now.phase
            self._say("phase: {}", now.phase)
        if now.note and now.note != self._note:
            self._note = now.note
            self._say("{}", now.note)
        if self._clock() - self._counted_at >= EVERY_SECONDS:
            self._tell_counts(now.counts)

    def _tell_counts(self, counts: Mapping[str, Mapping[str, int]]) -> None:
        news = {stream: sheet for stream, sheet in counts.items() if self._counts.get(stream) != sheet}
        if news:
            self._counted_at = self._clock()
            self._counts |= {stream: dict(sheet) for stream, sheet in news.items()}
            self._say("{}", "; ".join(f"{stream}: {sheet_text(sheet)}" for stream, sheet in news.items()))


def sheet_text(sheet: Mapping[str, int]) -> str:
    """A balance sheet in a line; zeros are left out except what was read."""
    parts = [f"{sheet.get('read', 0):,} read"]
    for name in ("created", "updated", "unchanged", "deleted", "failed", "skipped"):
        if sheet.get(name):
            parts.append(f"{sheet[name]:,} {name}")
    return ", ".join(parts)
