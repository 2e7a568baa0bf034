"""Starts steps as soon as what they need is ready, and waits for all of them at once in one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gtmc_pipelines.stack.process import ChildProcess

_POLL_SECONDS = 0.02


Begin = Callable[[], ChildProcess | None]


@dataclass(frozen=True)
class Step:
    """One thing that must be up or done.

    `begin` starts it and returns its process, or None when it is done at once. `is_ready` is asked until it says
    True; left out, the step is a program that does one thing and ends with status 0. `finish` is called then.
    `needs` names other steps; those that aren't part of this start count as ready.
    """

    name: str
    begin: Begin
    is_ready: Callable[[], bool] | None = None
    needs: tuple[str, ...] = ()
    within_seconds: float = 90.0
    finish: Callable[[], None] | None = None


@dataclass(frozen=True)
class Progress:
    """A step began or is ready; `seconds` is how long it took."""

    name: str
    state: Literal["starting", "ready"]
    seconds: float = 0.0


OnProgress = Callable[[Progress], None]


def run_steps(steps: Sequence[Step], on_progress: OnProgress, is_cancelled: Callable[[], bool] = lambda: False) -> None:
    """Run all steps. Raises Misuse as soon as one of their processes ends badly or is late; the unready ones stop.

    Raises KeyboardInterrupt, with the same effect, once `is_cancelled()`.
    """
    waiting = {step.name: step for step in steps}
    begun: dict[str, _Begun] = {}
    try:
        while waiting or begun:
            if is_cancelled():
                raise KeyboardInterrupt
            _begin_what_can(waiting, begun, on_progress)
            for running in [running for running in begun.values() if _is_done(running)]:
                del begun[running.step.name]
                if running.step.finish is not None:
                    running.step.finish()
                on_progress(Progress(running.step.name, "ready", running.seconds))
            time.sleep(_POLL_SECONDS if begun else 0)
    except BaseException:
        for running in begun.values():
            if running.child is not None:
                running.child.stop()
        raise


@dataclass(frozen=True)
class _Begun:
    step: Step
    child: ChildProcess | None
    started_at: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started_at


def _begin_what_can(waiting: dict[str, Step], begun: dict[str, _Begun], on_progress: OnProgress) -> None:
    pending = waiting.keys() | begun.keys()
    for step in [step for step in waiting.values() if not pending.intersection(step.needs)]:
        del waiting[step.name]
        on_progress(Progress(step.name, "starting"))
        started_at = time.monotonic()
        begun[step.name] = _Begun(step, step.begin(), started_at)


def _is_done(running: _Begun) -> bool:
    step, child = running.step, running.child
    if child is None:
        return True
    status = child.exit_status()
    if status == 0 and step.is_ready is None:
        return True
    if status is not None:
        raise child.verdict() if step.is_ready is None else child.death()
    if running.seconds > step.within_seconds:
        raise child.lateness(step.within_seconds)
    return step.is_ready is not None and step.is_ready()
