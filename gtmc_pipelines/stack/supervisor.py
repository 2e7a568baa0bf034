"""Keeps the parts of a stack running: notices a death, restarts what may be restarted, stops all in reverse order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.process import ChildProcess

MOST_RESTARTS = 3
RESTART_WINDOW_SECONDS = 60.0
_WATCH_SECONDS = 0.2
_CHILDREN_SECONDS = 2.0  # looking for a child's children reads the whole process table
_SETTLED_SECONDS = 60.0  # a part that starts has no child yet


@dataclass
class Part:
    """A supervised child. `level` orders the stop: the highest first, all of one level at once.

    `needs_children`: it works through a child process of its own, and is as good as dead without one, once it has
    had one or was given the time. `former` are those it replaced: what they left running is stopped with the stack.
    """

    child: ChildProcess
    level: int
    is_restartable: bool = False
    needs_children: bool = False
    restarts: list[float] = field(default_factory=list)
    former: list[ChildProcess] = field(default_factory=list)
    settles_at: float = 0.0


class Supervisor:
    """The children of one stack. Use it from the main thread (see process.py)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._parts: list[Part] = []
        self._children_at = clock()

    def add(
        self, child: ChildProcess, *, level: int, is_restartable: bool = False, needs_children: bool = False
    ) -> ChildProcess:
        """Take care of a running child from now on."""
        settles_at = self._clock() + _SETTLED_SECONDS
        self._parts.append(Part(child, level, is_restartable, needs_children, settles_at=settles_at))
        return child

    def check(self) -> list[str]:
        """Restart what died and may be restarted; return a sentence for each restart.

        Raises Misuse with the end of the log for a death that ends the stack: of a server, or once too often.
        """
        notices, now = [], self._clock()
        looks_for_children = now - self._children_at >= _CHILDREN_SECONDS
        if looks_for_children:
            self._children_at = now
            self._forget_what_is_gone()
        for part in self._parts:
            death = _death(part, now) if looks_for_children or part.child.exit_status() is not None else None
            if death is None:
                continue
            part.restarts = [at for at in part.restarts if now - at < RESTART_WINDOW_SECONDS]
            if not part.is_restartable or len(part.restarts) >= MOST_RESTARTS:
                raise death
            part.restarts.append(now)
            part.former.append(part.child)
            part.child, part.settles_at = ChildProcess.spawn(part.child.spec), now + _SETTLED_SECONDS
            notices.append(f"{death.sentence} It was started again; its log is {part.child.spec.log_file}.")
        return notices

    def watch(self, stop: threading.Event, on_notice: Callable[[str], None]) -> None:
        """Check until `stop` is set. Raises what `check` raises."""
        while not stop.wait(_WATCH_SECONDS):
            for notice in self.check():
                on_notice(notice)

    def _forget_what_is_gone(self) -> None:
        """The number of an empty process group may be given to a stranger."""
        for part in self._parts:
            part.former = [child for child in part.former if child.has_group()]

    def stop(self) -> None:
        """Stop every part, highest level first. No process is left behind."""
        for level in sorted({part.level for part in self._parts}, reverse=True):
            children = [child for part in self._parts if part.level == level for child in (part.child, *part.former)]
            for child in children:
                child.ask_to_stop()
            for child in children:
                child.stop()
        self._parts.clear()


def _death(part: Part, now: float) -> Misuse | None:
    """What a part died of; None while it lives. One without the child it needs is ended, its other offspring spared."""
    if part.child.exit_status() is not None:
        return part.child.death()
    if not part.needs_children:
        return None
    if part.child.has_children():
        part.settles_at = now
    elif now >= part.settles_at:
        loss = part.child.loss()
        part.child.end()
        return loss
    return None


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set instead of interrupting; the former handlers come back afterwards."""
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
