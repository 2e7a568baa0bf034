"""One supervised child process: own log file, never an orphan, readiness waited for, a clean stop.

Spawn children from the main thread: on Linux the kernel's parent-death signal is tied to the thread that forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack import rights

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_POLL_SECONDS = 0.02
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class ChildSpec:
    """How to start a child: everything but the moment.

    `environment` is the whole environment, nothing is inherited. `user` (uid, gid) is whom to become, when we are
    root; with `gives_up_rights` it keeps the name, and loses what root may do beyond it, where that is possible
    (rights.py). `output_file` takes stdout alone, for a child whose output is read; it is emptied first. `stop_signal`
    asks for the clean stop; after `grace_seconds` the child is killed. What it leaves in its group is killed too.
    """

    name: str
    command: Sequence[str | Path]
    log_file: Path
    environment: Mapping[str, str]
    output_file: Path | None = None
    working_folder: Path | None = None
    user: tuple[int, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 15.0
    keep_open: Sequence[int] = field(default_factory=tuple)
    gives_up_rights: bool = False


class ChildProcess:
    """A running child. Made by `ChildProcess.spawn`."""

    def __init__(self, spec: ChildSpec, process: subprocess.Popen[bytes]) -> None:
        self.spec = spec
        self._process = process
        self._was_asked = False

    @classmethod
    def spawn(cls, spec: ChildSpec) -> ChildProcess:
        """Start the child in its own session, output appended to its log file, stdin at end of file.

        Raises Misuse when the program can't be executed.
        """
        spec.log_file.parent.mkdir(parents=True, exist_ok=True)
        if spec.output_file is not None:
            spec.output_file.touch(mode=0o600)
            spec.output_file.write_bytes(b"")
        gives_up = spec.gives_up_rights and rights.can_be_given_up(spec.log_file.parent)
        with spec.log_file.open("ab") as log, (spec.output_file or spec.log_file).open("ab") as output:
            try:
                process = subprocess.Popen(  # noqa: S603  fixed programs, no shell
                    [str(part) for part in spec.command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=log,
                    env=dict(spec.environment),
                    cwd=spec.working_folder,
                    start_new_session=True,
                    pass_fds=tuple(spec.keep_open),
                    preexec_fn=_die_with_parent(os.getpid(), spec.stop_signal, gives_up),
                    user=spec.user[0] if spec.user else None,
                    group=spec.user[1] if spec.user else None,
                    extra_groups=[] if spec.user else None,
                )
            except OSError as error:
                raise Misuse(
                    "program_not_started",
                    f"{spec.name} can't be started: {error.strerror} ({error.filename}).",
                    next_step="Run `make setup` to install the dependencies again.",
                ) from None
        return cls(spec, process)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.spec.name

    @property
    def pid(self) -> int:
        """Process id; also the id of its process group."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs; else its exit status, negative for a signal."""
        return self._process.poll()

    def wait_until(self, is_ready: Callable[[], bool], *, within_seconds: float) -> None:
        """Return once `is_ready()`; raise Misuse, with the log's last lines, if the child ends or time runs out."""
        deadline = time.monotonic() + within_seconds
        while not is_ready():
            if self.exit_status() is not None:
                raise self.death()
            if time.monotonic() > deadline:
                raise self.lateness(within_seconds)
            time.sleep(_POLL_SECONDS)

    def death(self) -> Misuse:
        """The error that says this child ended by itself, with the end of its log."""
        status = self.exit_status()
        how = f"by signal {signal.Signals(-status).name}" if status is not None and status < 0 else f"status {status}"
        return self._misuse("part_ended", f"{self.name} ended unexpectedly ({how}).")

    def loss(self) -> Misuse:
        """The error that says this child has lost the process it works through."""
        return self._misuse("part_ended", f"A process of {self.name} ended.")

    def has_children(self) -> bool:
        """Whether it has a living child process; False once it has ended itself."""
        try:
            children = psutil.Process(self.pid).children()
            return any(child.status() != psutil.STATUS_ZOMBIE for child in children)
        except psutil.NoSuchProcess:
            return False

    def has_group(self) -> bool:
        """Whether anything of its process group is left, itself or what it started."""
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):  # nothing, or a stranger's
            return False
        return True

    def verdict(self) -> Misuse:
        """The error of a program that does one thing and failed: the last line it wrote."""
        return Misuse(
            "preparation_failed",
            f"{self.name} failed: {self.log_tail(1) or 'it wrote nothing'}",
            next_step=f"More in {self.spec.log_file}.",
        )

    def lateness(self, seconds: float) -> Misuse:
        """The error that says this child runs but isn't ready after `seconds`."""
        return self._misuse("part_not_ready", f"{self.name} was not ready after {seconds:.0f} seconds.")

    def ask_to_stop(self) -> None:
        """Send the stop signal without waiting, so that several can stop at once."""
        if self.exit_status() is None and not self._was_asked:
            self._was_asked = True
            self._process.send_signal(self.spec.stop_signal)

    def end(self) -> None:
        """Ask it to stop, wait, kill it when it doesn't; what else runs in its group goes on."""
        self.ask_to_stop()
        if self.exit_status() is None:
            try:
                self._process.wait(self.spec.grace_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def stop(self) -> None:
        """End it, then kill its whole group. Calling it again does nothing."""
        self.end()
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is already empty
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of its log without colours, or an empty string."""
        if not self.spec.log_file.exists():
            return ""
        with self.spec.log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
            text = _COLOURS.sub("", log.read().decode(errors="replace"))
        return "\n".join(text.splitlines()[-lines:])

    def _misuse(self, code: str, sentence: str) -> Misuse:
        """The error with what its log says last."""
        sentence = f"{sentence} Its log, {self.spec.log_file}, ends with:"
        return Misuse(code, sentence, faults=self.log_tail().splitlines())


def _die_with_parent(parent: int, stop_signal: signal.Signals, gives_up: bool) -> Callable[[], None]:
    """What the child does before it becomes the program: default signals, and death when the parent dies."""

    def prepare() -> None:
        # A shell that starts us with `&` ignores SIGINT, Dagster copies that to SIGTERM, and a child inherits both.
        for stopping in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stopping, signal.SIG_DFL)
        if gives_up:
            rights.give_up()
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(stop_signal))
            if os.getppid() != parent:
                os._exit(1)

    return prepare
