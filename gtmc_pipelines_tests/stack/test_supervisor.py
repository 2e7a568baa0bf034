"""Deaths are noticed, restarts are bounded, stops run in reverse order."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.process import ChildProcess
from gtmc_pipelines.stack.supervisor import MOST_RESTARTS, RESTART_WINDOW_SECONDS, Supervisor, stop_signals
from gtmc_pipelines_tests.stack.conftest import eventually

Spawn = Callable[..., ChildProcess]
FOREVER = "import signal; signal.pause()"
BROKEN = "raise SystemExit('no such table')"


class Clock:
    """Monotonic seconds under the test's control."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisor(clock: Clock) -> Iterator[Supervisor]:
    supervised = Supervisor(clock)
    yield supervised
    supervised.stop()


def _check_after_death(supervisor: Supervisor) -> list[str]:
    notices: list[str] = []

    def something_happened() -> bool:
        notices.extend(supervisor.check())
        return bool(notices)

    eventually(something_happened)
    return notices


def test_the_death_of_a_server_ends_the_stack_with_the_end_of_its_log(supervisor: Supervisor, spawn: Spawn) -> None:
    supervisor.add(spawn(BROKEN), level=0)
    with pytest.raises(Misuse, match="ended unexpectedly") as caught:
        _check_after_death(supervisor)
    assert "no such table" in str(caught.value)


def test_a_dead_worker_is_started_again_and_the_user_is_told(supervisor: Supervisor, spawn: Spawn) -> None:
    child = supervisor.add(spawn(FOREVER), level=0, is_restartable=True)
    os.kill(child.pid, signal.SIGKILL)
    assert "started again" in _check_after_death(supervisor)[0]
    assert supervisor.check() == []
    supervisor.stop()


def test_a_worker_that_keeps_dying_ends_the_stack(supervisor: Supervisor, spawn: Spawn) -> None:
    supervisor.add(spawn(BROKEN), level=0, is_restartable=True)
    for _ in range(MOST_RESTARTS):
        _check_after_death(supervisor)
    with pytest.raises(Misuse):
        _check_after_death(supervisor)


def test_rare_deaths_never_use_up_the_restarts(supervisor: Supervisor, spawn: Spawn, clock: Clock) -> None:
    supervisor.add(spawn(BROKEN), level=0, is_restartable=True)
    for _ in range(MOST_RESTARTS + 2):
        assert _check_after_death(supervisor)
        clock.now += RESTART_WINDOW_SECONDS + 1


def test_higher_levels_stop_first(supervisor: Supervisor, spawn: Spawn) -> None:
    tell_the_end = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: exit(print(time.monotonic()))); "
    children = [spawn(tell_the_end + "print('up'); signal.pause()") for _ in range(3)]
    for level, child in enumerate(children):
        child.wait_until(lambda child=child: "up" in child.log_tail(), within_seconds=20)
        supervisor.add(child, level=level)
    supervisor.stop()
    ends = [float(child.log_tail(1)) for child in children]
    assert ends == sorted(ends, reverse=True)


def test_ctrl_c_sets_the_event_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(5)
    assert signal.getsignal(signal.SIGINT) == before


def test_watching_ends_when_asked(supervisor: Supervisor) -> None:
    stop = threading.Event()
    stop.set()
    told: list[str] = []
    supervisor.watch(stop, told.append)
    assert told == []
