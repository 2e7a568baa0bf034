"""Keeps the parts of a stack running: notices a death, restarts what may be restarted, stops all in reverse order."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from gtmc_pipelines.stack.process import ChildProcess

MOST_RESTARTS = 3
RESTART_WINDOW_SECONDS = 60.0
_WATCH_SECONDS = 0.2


@dataclass
class Part:
    """A supervised child. `level` orders the stop: the highest first, all of one level at once."""

    child: ChildProcess
    level: int
    is_restartable: bool = False
    restarts: list[float] = field(default_factory=list)


class Supervisor:
    """The children of one stack. Use it from the main thread (see process.py)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._parts: list[Part] = []

    def add(self, child: ChildProcess, *, level: int, is_restartable: bool = False) -> ChildProcess:
        """Take care of a running child from now on."""
        self._parts.append(Part(child, level, is_restartable))
        return child

    def check(self) -> list[str]:
        """Restart what died and may be restarted; return a sentence for each restart.

        Raises Misuse with the end of the log for a death that ends the stack: of a server, or once too often.
        """
        notices = []
        for part in self._parts:
            if part.child.exit_status() is None:
                continue
            death, now = part.child.death(), self._clock()
            part.restarts = [at for at in part.restarts if now - at < RESTART_WINDOW_SECONDS]
            if not part.is_restartable or len(part.restarts) >= MOST_RESTARTS:
                raise death
            part.restarts.append(now)
            part.child = ChildProcess.spawn(part.child.spec)
            notices.append(f"{death.sentence} It was started again; its log is {part.child.spec.log_file}.")
        return notices

    def watch(self, stop: threading.Event, on_notice: Callable[[str], None]) -> None:
        """Check until `stop` is set. Raises what `check` raises."""
        while not stop.wait(_WATCH_SECONDS):
            for notice in self.check():
                on_notice(notice)

    def stop(self) -> None:
        """Stop every part, highest level first. No process is left behind."""
        for level in sorted({part.level for part in self._parts}, reverse=True):
            children = [part.child for part in self._parts if part.level == level]
            for child in children:
                child.ask_to_stop()
            for child in children:
                child.stop()
        self._parts.clear()


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
