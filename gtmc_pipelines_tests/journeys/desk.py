"""A person at a terminal: runs real `gtmc` processes, and plays the browser when one logs in."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gtmc_pipelines.settings import Settings, child_environment, variable_of
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec

COMMAND = (sys.executable, "-m", "gtmc_pipelines.cli.main")
_ADDRESS = re.compile(r"^https?://\S+$")
_LONGEST_SENTENCE = 600  # characters, sentence and next step together


@dataclass(frozen=True)
class Said:
    """What a command said before it ended."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Standard error in one line, however it was wrapped."""
        return " ".join(self.err.split())

    def refuses(self, *words: str, status: int = 1) -> str:
        """Assert a refusal as we promise it: one sentence, a next step, no traceback. Gives the text."""
        assert self.status == status, (self.status, self.out, self.err)
        assert "Traceback" not in self.out + self.err
        if status == 1:
            assert self.err.count("✗") == 1, self.err
            assert re.search(r"\n {2}\S", self.err), f"no next step: {self.err}"
            assert len(self.text) < _LONGEST_SENTENCE
        for word in words:
            assert word in self.text, self.text
        return self.text


@dataclass(frozen=True)
class Desk:
    """A folder and an environment, in which commands run."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def with_(self, **changes: str) -> Desk:
        """The same desk with other variables; an empty value is set, not removed."""
        return replace(self, environment={**self.environment, **changes})

    def without(self, *names: str) -> Desk:
        """The same desk without these variables."""
        return replace(
            self, environment={name: self.environment[name] for name in self.environment if name not in names}
        )

    def gtmc(self, *arguments: str, within: float = 60) -> Said:
        """Run a command to its end."""
        done = subprocess.run(
            [*COMMAND, *arguments], env=self._whole(), cwd=self.home, capture_output=True, text=True, timeout=within
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def log_in(self, *arguments: str, bend: Callable[[str], str] = lambda url: url) -> Said:
        """Run `gtmc connectors connect` and follow the login page; `bend` changes where it sends the browser."""
        process = subprocess.Popen(
            [*COMMAND, "connectors", "connect", "--no-browser", *arguments],
            env=self._whole(),
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            printed = []
            for line in process.stdout:
                printed.append(line)
                if _ADDRESS.match(line.strip()):
                    _browse(line.strip(), bend)
                    break
            out, err = process.communicate(timeout=60)
        return Said(process.returncode, "".join(printed) + out, err)

    @contextmanager
    def worker(self) -> Iterator[Path]:
        """A worker of its own process while the block runs; gives its log."""
        said, log = self.home / "worker.out", self.home / "worker.log"
        spec = ChildSpec("worker", [*COMMAND, "worker"], log, self._whole(), output_file=said)
        child = ChildProcess.spawn(spec)
        try:
            child.wait_until(lambda: "polls" in said.read_text(), within_seconds=60)
            yield log
        finally:
            child.stop()

    def _whole(self) -> dict[str, str]:
        """Our own environment without any setting of ours, and the desk's."""
        clean = {variable_of(name) for name in Settings.model_fields}
        inherited = {name: value for name, value in child_environment({}).items() if name not in clean}
        return {**inherited, "GTMC_HOME": str(self.home), **self.environment}


def _browse(url: str, bend: Callable[[str], str]) -> None:
    """Open `url` and follow redirects as a browser would."""

    class Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            return super().redirect_request(req, fp, code, msg, headers, bend(newurl))

    with contextlib.suppress(urllib.error.URLError):  # a refused login page is the command's to report
        urllib.request.build_opener(Redirects).open(url, timeout=10).close()
