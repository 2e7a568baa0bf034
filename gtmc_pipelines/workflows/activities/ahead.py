"""Working ahead: run an iterator in a thread of its own, a few items ahead of whoever uses them.

Fetching the next page overlaps writing the last one. The queue is short, so memory is bounded by
its depth; the reader's end, good or bad, always arrives as an item of its own.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from gtmc_pipelines.connectors.http import close_sessions_of
from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.workflows.slots import TURN

T = TypeVar("T")

_DEPTH = 1  # one batch waits while one is written and one is read; more only costs memory
_TICK_SECONDS = 0.5
PATIENT_SECONDS = 5.0
MOST_SILENT_SECONDS = 600.0
_NO_PAGE = "The vendor has been asked for ten minutes, and nothing to write has come of it."


@dataclass(frozen=True, slots=True)
class _End:
    fault: BaseException | None


class Ahead(AbstractContextManager["Ahead[T]"], Generic[T]):
    """Iterates over `source` from a thread. `on_wait` is called at least twice a second while waiting.

    What `source` raises is raised here, at its place in the order; `on_wait` may raise to stop. While the vendor is
    silent the slot is given up to those who wait; ten minutes without an item or another sign of life (a moment of
    time.monotonic) are Retry `no_page`. On leaving the context the reader is told to stop, what it has under way at
    the vendor is cut short, and its iterator is closed in its own thread.
    """

    def __init__(
        self,
        source: Iterator[T],
        on_wait: Callable[[], None],
        depth: int = _DEPTH,
        sign_of_life: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._source = source
        self._on_wait = on_wait
        self._sign_of_life = sign_of_life
        self._queue: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="sync-reader", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the reader; waits a moment for it, not for a vendor that never answers."""
        self._stop.set()
        with contextlib.suppress(queue.Empty):  # frees a reader blocked on a full queue
            while True:
                self._queue.get_nowait()
        close_sessions_of(self._thread)
        self._thread.join(timeout=2 * _TICK_SECONDS)

    def __iter__(self) -> Iterator[T]:
        while True:
            item = self._next()
            if isinstance(item, _End):
                if item.fault is not None:
                    raise item.fault
                return
            yield item

    def _next(self) -> T | _End:
        began, turn = time.monotonic(), TURN.get()
        while True:
            with contextlib.suppress(queue.Empty):
                item = self._queue.get(timeout=_TICK_SECONDS)
                if turn is not None:
                    turn.step_in(self._on_wait)
                return item
            self._on_wait()
            silent = time.monotonic() - max(began, self._sign_of_life())
            if silent >= MOST_SILENT_SECONDS:
                raise Retry("no_page", _NO_PAGE, next_step="It is tried again from where it has come.")
            if turn is not None and silent >= PATIENT_SECONDS:
                turn.step_aside()
            if not self._thread.is_alive() and self._queue.empty():
                raise RuntimeError("the reading thread died without saying why")

    def _read(self) -> None:
        fault: BaseException | None = None
        try:
            for item in self._source:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - carried over to the consumer, who raises it
            fault = error
        finally:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        self._put(_End(fault))

    def _put(self, item: T | _End) -> bool:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_TICK_SECONDS)
                return True
        return False


def alongside(work: Callable[[], T], on_wait: Callable[[], None]) -> T:
    """Run `work` in a thread and give its result; `on_wait` is called twice a second and may raise to leave."""

    def once() -> Iterator[T]:
        yield work()

    with Ahead(once(), on_wait) as results:
        return next(iter(results))
