"""A child process never becomes an orphan, and its end is told with its own words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines_tests.stack.conftest import eventually

Spawn = Callable[..., ChildProcess]
FOREVER = "import signal; print('up'); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); signal.pause()"


def test_a_child_that_ends_by_itself_is_reported_with_the_end_of_its_log(spawn: Spawn) -> None:
    child = spawn("print('first'); print('the disk is full'); raise SystemExit(3)")
    with pytest.raises(Misuse, match="status 3") as caught:
        child.wait_until(lambda: False, within_seconds=20)
    assert "the disk is full" in str(caught.value)


def test_a_child_killed_by_a_signal_is_reported_by_its_name(spawn: Spawn) -> None:
    child = spawn(FOREVER)
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(Misuse, match="SIGKILL"):
        child.wait_until(lambda: False, within_seconds=20)


def test_a_child_that_is_never_ready_is_reported_after_the_deadline(spawn: Spawn) -> None:
    with pytest.raises(Misuse, match="not ready"):
        spawn(FOREVER).wait_until(lambda: False, within_seconds=0.05)


def test_a_child_that_ignores_the_stop_signal_is_killed_after_the_grace(spawn: Spawn) -> None:
    child = spawn(STUBBORN, grace_seconds=0.05)
    child.wait_until(lambda: "up" in child.log_tail(), within_seconds=20)
    child.stop()
    assert child.exit_status() == -signal.SIGKILL


def test_stop_takes_the_children_of_the_child_along(spawn: Spawn) -> None:
    grandchild = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid); "
    child = spawn(grandchild + FOREVER)
    child.wait_until(lambda: child.log_tail().endswith("up"), within_seconds=20)
    pid = int(child.log_tail().splitlines()[0])
    child.stop()
    eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGTERM])
def test_a_child_heeds_a_stop_signal_that_whoever_started_us_ignores(spawn: Spawn, ignored: signal.Signals) -> None:
    former = signal.signal(ignored, signal.SIG_IGN)
    try:
        child = spawn(FOREVER, stop_signal=ignored)
    finally:
        signal.signal(ignored, former)
    child.wait_until(lambda: "up" in child.log_tail(), within_seconds=20)
    child.stop()
    assert child.exit_status() != -signal.SIGKILL


def test_stopping_twice_is_harmless(spawn: Spawn) -> None:
    child = spawn(FOREVER)
    child.stop()
    child.stop()
    assert child.exit_status() is not None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_child_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys, signal; from pathlib import Path\n"
        "from gtmc_pipelines.stack.process import ChildProcess, ChildSpec\n"
        f"spec = ChildSpec('c', [sys.executable, '-c', {FOREVER!r}], Path({str(tmp_path / 'c.log')!r}), {{}})\n"
        "print(ChildProcess.spawn(spec).pid, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=child_environment({})) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_missing_program_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="can't be started: No such file"):
        ChildProcess.spawn(ChildSpec("the part", [tmp_path / "nothing"], tmp_path / "log", {}))


def test_a_child_gets_exactly_the_environment_it_is_given(tmp_path: Path) -> None:
    program = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))"
    child = ChildProcess.spawn(ChildSpec("c", [sys.executable, "-c", program], tmp_path / "log", {"ONLY": "this"}))
    eventually(lambda: child.exit_status() == 0)
    assert child.log_tail() == "['ONLY']"
