"""What a batch's custom transforms may cost: processor time of their thread, spent by whoever evaluates them.

An evaluation can't be stopped, but each is bounded by the size of what it sees; what a batch of them may take together
is bounded here. Records whose turn comes when it is spent are not mapped.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BATCH_SECONDS = 10.0
"""A batch of 2,000 records with thirty ordinary transforms takes four."""

SPENT = "mapping_too_slow"
"""Reason code of a record that was not mapped because the budget was spent."""

_of_thread = threading.local()


class CpuBudget:
    """Seconds that are left."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    @property
    def is_spent(self) -> bool:
        """True when nothing is left."""
        return self._left <= 0

    def spend(self, seconds: float) -> None:
        """Take from what is left."""
        self._left -= seconds


def current() -> CpuBudget | None:
    """The budget of this thread's batch; None outside of one."""
    found: CpuBudget | None = getattr(_of_thread, "budget", None)
    return found


@contextmanager
def limited(seconds: float | None = None) -> Iterator[CpuBudget]:
    """A budget (of BATCH_SECONDS unless told otherwise) for what this thread evaluates inside."""
    before, budget = current(), CpuBudget(BATCH_SECONDS if seconds is None else seconds)
    _of_thread.budget = budget
    try:
        yield budget
    finally:
        _of_thread.budget = before
