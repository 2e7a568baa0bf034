"""Dagster's processes: code server, webserver, daemon. Started as programs, never imported here."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.stack.guard_probe import unguarded
from gtmc_pipelines.stack.ports import USUAL_PORTS, free_port
from gtmc_pipelines.stack.process import ChildSpec
from gtmc_pipelines.stack.sockets import answers_socket, socket_for

LOCATION = "gtmc_pipelines"
_CODE_SERVER = ("dagster", "code-server", "start", "--use-python-environment-entry-point")
_NOT_REACHED = "DagsterUserCodeUnreachableError"
_CLOCK_SLACK_SECONDS = 1.0
_HEALTH = """query {
  workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    __typename ... on PythonError { message className } } } } }
  instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } }
}"""


class DagsterServices:
    """Ports, files and commands of the processes; `home` is the stack's folder."""

    def __init__(self, home: Path, definitions: str = "gtmc_pipelines.definitions") -> None:
        self.home = home / "dagster"
        self._logs = home / "logs"
        self._definitions = definitions
        self._started_at = time.time()
        self.port = free_port(USUAL_PORTS["dagster"])
        self.code_socket = socket_for(self.home / "code-server.sock")

    @property
    def url(self) -> str:
        """Base URL of the UI."""
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Write DAGSTER_HOME: the repository's dagster.yaml and a workspace that names our code server."""
        self.home.mkdir(parents=True, exist_ok=True)
        source = Path(__file__).parents[1] / "dagster.yaml"
        if not source.exists():
            raise Misuse(
                "dagster_yaml_missing",
                f"{source} is missing.",
                next_step="Run from a checkout of the repository installed with `make setup`.",
            )
        shutil.copyfile(source, self.home / "dagster.yaml")
        server = {"socket": str(self.code_socket), "location_name": LOCATION}
        (self.home / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}) + "\n")

    def code_server(self, environment: Mapping[str, str]) -> ChildSpec:
        """The process in front of the one that holds our definitions, which *Reload definitions* replaces."""
        return self._spec(
            "Dagster code server",
            [*_CODE_SERVER, "--socket", str(self.code_socket), "-m", self._definitions, "--location-name", LOCATION],
            environment,
        )

    def webserver(self, environment: Mapping[str, str]) -> ChildSpec:
        """The process that serves the UI and its API, behind the guard."""
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-w", str(self.home / "workspace.yaml")]
        return self._spec("Dagster webserver", ["gtmc_pipelines.defs.webserver", *options], environment)

    def daemon(self, environment: Mapping[str, str]) -> ChildSpec:
        """The process behind schedules, sensors, backfills and the run queue."""
        return self._spec(
            "Dagster daemon",
            ["gtmc_pipelines.defs.daemon", "run", "-w", str(self.home / "workspace.yaml")],
            environment,
        )

    def is_code_server_ready(self) -> bool:
        """Whether the code server takes connections; it does so once it has loaded the definitions."""
        return answers_socket(self.code_socket)

    def is_webserver_ready(self) -> bool:
        """Whether the webserver answers and has loaded our definitions. Raises Misuse when they can't be loaded."""
        health = ask_health(self.port)
        if (reason := load_error(health)) is not None:
            raise Misuse(
                "definitions_broken",
                f"Dagster can't load {self._definitions}: {reason}",
                next_step=f"Correct it and start again; more in {self._logs / 'dagster-code-server.log'}.",
            )
        return is_loaded(health)

    def require_guard(self) -> None:
        """Raise Misuse when the webserver lets pass what the guard refuses: nobody may be sent to its address."""
        if passed := unguarded(self.port):
            raise Misuse(
                "dagster_unguarded",
                f"Dagster's webserver at {self.url} takes {', '.join(passed)}: any page in a browser could run syncs.",
                next_step="The guard of gtmc_pipelines.defs.webserver is not in front of it. Run `make setup`, which "
                "installs the version of dagster-webserver that it was tried with.",
            )

    def is_daemon_ready(self) -> bool:
        """Whether every daemon that must run has sent a heartbeat since we started."""
        since = self._started_at - _CLOCK_SLACK_SECONDS
        return are_daemons_alive(ask_health(self.port), since)

    def _spec(self, name: str, module: list[str], environment: Mapping[str, str]) -> ChildSpec:
        return ChildSpec(
            name=name,
            command=[sys.executable, "-m", *module],
            log_file=self._logs / (name.lower().replace(" ", "-") + ".log"),
            environment=environment,
            gives_up_rights=True,
        )


def ask_health(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    """What a webserver says of its code locations and daemons; empty when it doesn't answer."""
    with closing(http.client.HTTPConnection(host, port, timeout=10)) as connection:
        try:
            connection.request("POST", "/graphql", json.dumps({"query": _HEALTH}), {"Content-Type": "application/json"})
            return dict(json.loads(connection.getresponse().read())["data"] or {})
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return {}


def is_loaded(health: Mapping[str, Any]) -> bool:
    """Whether every code location of the workspace is loaded."""
    found = _locations(health)
    return bool(found) and all(location.get("__typename") == "RepositoryLocation" for location in found)


def load_error(health: Mapping[str, Any]) -> str | None:
    """The last line of what is wrong with a code location; None while its server isn't reached or all is well."""
    for location in _locations(health):
        if location.get("__typename") == "PythonError" and location.get("className") != _NOT_REACHED:
            return (str(location.get("message") or "").strip().splitlines() or ["no reason given"])[-1]
    return None


def _locations(health: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = (health.get("workspaceOrError") or {}).get("locationEntries") or []
    return [entry.get("locationOrLoadError") or {} for entry in entries]


def are_daemons_alive(health: Mapping[str, Any], since: float) -> bool:
    """Whether every required daemon has sent a heartbeat after `since` (seconds of the epoch)."""
    statuses = ((health.get("instance") or {}).get("daemonHealth") or {}).get("allDaemonStatuses") or []
    beats = [status["lastHeartbeatTime"] for status in statuses if status["required"]]
    return bool(beats) and all(beat is not None and beat >= since for beat in beats)
