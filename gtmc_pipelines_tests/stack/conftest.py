"""Home folders that the server's account can enter, and children that do what a test needs."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec

MakeSpec = Callable[..., ChildSpec]


@pytest.fixture
def home() -> Iterator[Path]:
    """A new folder that any account can enter."""
    folder = Path(tempfile.mkdtemp(prefix="gtmc-stack-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def spec(tmp_path: Path) -> MakeSpec:
    """Makes the spec of a Python program given as text."""

    numbers = count()

    def make(program: str, **options: object) -> ChildSpec:
        return ChildSpec(
            name="the part",
            command=[sys.executable, "-u", "-c", program],
            log_file=tmp_path / f"part-{next(numbers)}.log",
            environment=child_environment({}),
            **options,
        )

    return make


@pytest.fixture
def spawn(spec: MakeSpec) -> Iterator[Callable[..., ChildProcess]]:
    """Spawns such a program and stops it at the end of the test."""
    children: list[ChildProcess] = []

    def start(program: str, **options: object) -> ChildProcess:
        children.append(ChildProcess.spawn(spec(program, **options)))
        return children[-1]

    yield start
    for child in children:
        child.stop()


def eventually(condition: Callable[[], object], within_seconds: float = 20.0) -> None:
    """Return as soon as `condition()` holds; fail when it doesn't within the time."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)
