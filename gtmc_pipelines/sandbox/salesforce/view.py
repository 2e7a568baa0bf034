"""A query's result as a sequence of record indices that is worked out, not stored: pages cost the same everywhere."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gtmc_pipelines.sandbox.salesforce.table import Table


class View(Protocol):
    """Indices of the records a query found, as they were when it was asked."""

    def __len__(self) -> int: ...

    def slice(self, offset: int, limit: int) -> list[int]:
        """At most `limit` indices from `offset` on."""
        ...


@dataclass(frozen=True, slots=True)
class ListedView:
    """Indices written down: what a scan found."""

    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def slice(self, offset: int, limit: int) -> list[int]:
        """At most `limit` indices from `offset` on."""
        return list(self.indices[offset : offset + limit])


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds of a view: stamps in milliseconds and indices, both half open; None is open."""

    stamp_from: int | None = None
    stamp_below: int | None = None
    index_from: int = 0
    index_below: int | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbours in the result: either seeded records low … high - 1 or touched ones, listed."""

    low: int = 0
    high: int = 0
    listed: tuple[int, ...] = ()


class WindowView:
    """All records (or all live ones) of a window, by (SystemModstamp, Id) or by Id, rising or falling.

    Holds as many entries as records were ever touched, however large the table is.
    """

    def __init__(
        self, table: Table, window: Window, *, with_deleted: bool, by_stamp: bool = True, falling: bool = False
    ) -> None:
        self._table, self._with_deleted, self._falling = table, with_deleted, falling
        self._runs = _runs(table, window, with_deleted, by_stamp)
        self._ends: list[int] = []
        total = 0
        for run in self._runs:
            total += self._length(run)
            self._ends.append(total)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def slice(self, offset: int, limit: int) -> list[int]:
        """At most `limit` indices from `offset` on."""
        total = len(self)
        low, high = max(0, offset), min(total, offset + limit)
        if self._falling:
            low, high = total - high, total - low
        found: list[int] = []
        place = bisect_right(self._ends, low)
        while low < high:
            run, end = self._runs[place], self._ends[place]
            start = end - self._length(run)
            upto = min(high, end)
            found += self._part(run, low - start, upto - start)
            low, place = upto, place + 1
        return found[::-1] if self._falling else found

    def _length(self, run: _Run) -> int:
        if run.listed:
            return len(run.listed)
        if self._with_deleted:
            return run.high - run.low
        return self._table.live_before(run.high) - self._table.live_before(run.low)

    def _part(self, run: _Run, start: int, stop: int) -> Sequence[int]:
        if run.listed:
            return run.listed[start:stop]
        if self._with_deleted:
            return range(run.low + start, run.low + stop)
        first, nth = self._table.live_before(run.low), self._table.nth_live
        return [nth(rank) for rank in range(first + start, first + stop)]


def _runs(table: Table, window: Window, with_deleted: bool, by_stamp: bool) -> list[_Run]:
    low = max(window.index_from, 0 if window.stamp_from is None else table.first_at(window.stamp_from))
    high = table.base if window.stamp_below is None else table.first_at(window.stamp_below)
    if window.index_below is not None:
        high = min(high, window.index_below)
    high = max(low, min(high, table.base))
    runs: list[_Run] = []
    listed: list[int] = []

    def close(upto: int) -> None:
        nonlocal low
        if low < upto:
            if listed:
                runs.append(_Run(listed=tuple(listed)))
                listed.clear()
            runs.append(_Run(low, upto))
            low = upto

    for place, is_cut, index in _events(table, window, with_deleted, by_stamp, low, high):
        close(place)
        if is_cut:
            low = index + 1
        else:
            listed.append(index)
    close(high)
    if listed:
        runs.append(_Run(listed=tuple(listed)))
    return runs


def _events(
    table: Table, window: Window, with_deleted: bool, by_stamp: bool, low: int, high: int
) -> list[tuple[int, bool, int]]:
    """Where touched records leave (True) and enter (False) the seeded sequence, in order."""
    touched = table.patched_indices()
    cuts = touched[bisect_left(touched, low) : bisect_left(touched, high)]
    events = [(index, True, index) for index in cuts]
    for stamp, index in _entering(table, window):
        if not with_deleted and table.patches[index].deleted:
            continue
        place = index
        if by_stamp:
            place = bisect_left(range(table.base), (stamp, index), key=lambda one: (table.base_stamp(one), one))
        events.append((min(max(place, low), high), False, index))
    if by_stamp:
        events.sort(key=lambda event: event[:2])  # stable: those entering at one place stay in stamp order
    else:
        events.sort()
    return events


def _entering(table: Table, window: Window) -> list[tuple[int, int]]:
    patched = table.patched_by_stamp()
    first = 0 if window.stamp_from is None else bisect_left(patched, (window.stamp_from, -1))
    last = len(patched) if window.stamp_below is None else bisect_left(patched, (window.stamp_below, -1))
    below = table.next_index if window.index_below is None else window.index_below
    return [(stamp, index) for stamp, index in patched[first:last] if window.index_from <= index < below]
