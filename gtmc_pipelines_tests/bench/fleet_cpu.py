"""CPU by service and by run: process trees looked at with psutil, run processes by what the kernel bills for them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from gtmc_pipelines.settings import child_environment


class ServiceMeter:
    """CPU seconds of services, each given as the ids of its root processes, from now on."""

    def __init__(self, services: Mapping[str, Sequence[int]]) -> None:
        self._services = services
        self._before = self._now()

    def used(self) -> dict[str, float]:
        """Seconds used since the meter was made, by service."""
        return {name: seconds - self._before[name] for name, seconds in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {name: sum(map(_tree_seconds, pids)) for name, pids in self._services.items()}


@dataclass(frozen=True, slots=True)
class RunCost:
    """What one run process cost: CPU seconds with its children's, wall seconds, peak memory in MB."""

    cpu: float
    wall: float
    memory_mb: float
    output: str


_running: set[subprocess.Popen[bytes]] = set()


class RunFailed(Exception):
    """A run process that ended badly; says how."""


def run_process(environment: Mapping[str, str], module: str, *arguments: str) -> RunCost:
    """Run a module of ours in a process of its own, as the run launcher gives each run one.

    Raises RunFailed with the end of what it wrote.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=child_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=log,
        )
        _running.add(child)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        _running.discard(child)
        if child.returncode != 0:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4_000))
            raise RunFailed(f"{module} ended with status {child.returncode}:\n{log.read().decode(errors='replace')}")
        output.seek(0)
        text = output.read().decode()
    return RunCost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, text)


def kill_runs() -> None:
    """End every process that `run_process` is waiting for in some thread."""
    for child in tuple(_running):
        child.kill()


def _tree_seconds(pid: int) -> float:
    """CPU of a process, its living descendants, and the dead ones that each of them has waited for."""
    root, seconds = psutil.Process(pid), 0.0
    for process in (root, *root.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:  # its parent is billed for it
            continue
        seconds += times.user + times.system + times.children_user + times.children_system
    return float(seconds)
