"""Everything on this machine: composes servers, sandbox, worker and Dagster into one stack that starts and stops."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings, child_environment, variable_of
from gtmc_pipelines.stack import rights
from gtmc_pipelines.stack.dagster_services import DagsterServices
from gtmc_pipelines.stack.dagster_storage import DagsterSchema
from gtmc_pipelines.stack.encryption_key import key_file_for
from gtmc_pipelines.stack.folder_lock import FolderLock
from gtmc_pipelines.stack.ports import USUAL_PORTS
from gtmc_pipelines.stack.private_home import UMASK, close_home
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.sandbox_part import SandboxPart, sandbox_environment, without_real_vendors
from gtmc_pipelines.stack.servers import Servers
from gtmc_pipelines.stack.startup import Begin, OnProgress, Progress, Step, run_steps
from gtmc_pipelines.stack.state import StackState
from gtmc_pipelines.stack.supervisor import Supervisor

PARTS = ("sandbox", "worker", "dagster")
_VENDOR_LEVEL, _WORK_LEVEL = 1, 2  # servers are level 0; the highest level stops first
_CONNECTORS_STEP = "Sandbox connectors"
_RIGHTS_KEPT = (
    "The parts keep all of root's rights and can read the password of PostgreSQL's superuser: without them they can't "
    "run here, since the programs or GTMC_HOME belong to another account. Start it as that account."
)
_EVENT_BATCH = "500"  # events a run writes to Dagster's storage at once


@dataclass(frozen=True)
class StackOptions:
    """Which parts to start besides the servers, and the module with Dagster's definitions."""

    sandbox: bool = True
    worker: bool = True
    dagster: bool = True
    definitions: str = "gtmc_pipelines.definitions"


def _silent(_progress: Progress) -> None:
    """Report nothing."""


class Stack:
    """The parts of one home folder. A context manager that stops what it started.

    `environment` leads other processes to what is embedded, `addresses` is for people; both are complete after
    `start`. Use it from the main thread, and call `supervisor.watch` or `supervisor.check` while it runs.
    """

    def __init__(self, settings: Settings, options: StackOptions | None = None) -> None:
        self.settings = settings
        self.options = options or StackOptions()
        self.home = settings.home.absolute()
        self.supervisor = Supervisor()
        self.environment: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self._state = StackState(self.home)
        self._worker_announcement = self.home / "logs" / "worker-ready.log"
        self._key: dict[str, str] = {}
        self._lock: FolderLock | None = None
        self._former_umask: int | None = None
        self._servers = Servers(settings, self.home)
        self._dagster: DagsterServices | None = None
        self._sandbox: SandboxPart | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, on_progress: OnProgress = _silent, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        """Start everything, wait until each part answers, write `stack.json`.

        Raises Misuse when a stack already runs here, a setting is missing, or a part doesn't come up, and
        KeyboardInterrupt once `is_cancelled()`; what had been started by then is stopped.
        """
        self._state.refuse_a_second()
        self._former_umask = os.umask(UMASK)  # children inherit it
        try:
            self._lock = FolderLock.take(self.home / "stack.lock", "a stack")
        except OSError as error:
            self.stop()
            raise Misuse(
                "home_unusable",
                f"GTMC_HOME ({self.home}) can't be used: {error.strerror}.",
                next_step="Set GTMC_HOME to a folder you may write to.",
            ) from None
        try:
            close_home(self.home, self._servers.account_group())
            key_file = key_file_for(self.settings, self.home)
            if key_file is not None:
                self._key = {"CONNECTOR_ENCRYPTION_KEY": key_file.read_text(encoding="utf-8-sig").strip()}
            run_steps(self._steps(), on_progress, is_cancelled)
            self._describe()
            self._state.write(self.environment, self.addresses, key_file)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything that was started, in reverse order. Calling it again does nothing."""
        self.supervisor.stop()
        self._servers.stop()
        if self._lock is not None:
            self._state.remove()
            self._lock.release()
            self._lock = None
        if self._former_umask is not None:
            os.umask(self._former_umask)
            self._former_umask = None

    def remarks(self) -> list[str]:
        """What isn't as usual: a sentence for each part at another port, and one when parts keep root's rights."""
        kept = rights.is_root() and not rights.can_be_given_up(self.home / "logs")
        return self._moved_ports() + [_RIGHTS_KEPT] * kept

    def _moved_ports(self) -> list[str]:
        ports = self._servers.ports()
        if self._dagster is not None:
            ports["dagster"] = self._dagster.port
        if self._sandbox is not None:
            ports["sandbox"] = self._sandbox.port
        return [
            f"Port {USUAL_PORTS[name]} is taken; {name.replace('_', ' ')} is on {port}."
            for name, port in ports.items()
            if port != USUAL_PORTS[name]
        ]

    def _steps(self) -> list[Step]:
        steps = self._servers.steps(self.supervisor, self._child_environment)
        if self.options.sandbox:
            self._sandbox = sandbox = SandboxPart(self.home)
            begin = self._begin(sandbox.spec, _VENDOR_LEVEL)
            steps.append(Step("Sandbox", begin, sandbox.is_ready, finish=sandbox.settle))
            steps.append(Step(_CONNECTORS_STEP, self._readdress, needs=("Migrations", "Sandbox")))
        if self.options.worker:
            needs = ("Migrations", "Temporal namespace", "Sandbox", _CONNECTORS_STEP)
            begin = self._begin(self._worker, _WORK_LEVEL)
            steps.append(Step("Worker", begin, lambda: self._servers.has_worker(self._worker_announcement), needs))
        if self.options.dagster:
            steps += self._dagster_steps()
        return steps

    def _dagster_steps(self) -> list[Step]:
        self._dagster = dagster = DagsterServices(self.home, self.options.definitions)
        schema = DagsterSchema(dagster.home, self.home / "logs" / "dagster-storage.log")

        def begin_schema() -> ChildProcess | None:
            dagster.prepare()
            environment = self._child_environment()
            return None if schema.is_current(environment) else ChildProcess.spawn(schema.spec(environment))

        def finish_schema() -> None:
            schema.mark_current(self._child_environment())

        code_server = self._begin(
            lambda: dagster.code_server(self._child_environment(with_key=True)), _WORK_LEVEL, needs_children=True
        )
        webserver = self._begin(lambda: dagster.webserver(self._child_environment()), _WORK_LEVEL)
        daemon = self._begin(lambda: dagster.daemon(self._child_environment()), _WORK_LEVEL)
        schema_step = "Dagster storage"
        return [
            Step(schema_step, begin_schema, needs=("Databases",), finish=finish_schema),
            Step(
                "Dagster code server",
                code_server,
                dagster.is_code_server_ready,
                needs=(schema_step, "Sandbox", "Temporal"),
            ),
            Step(
                "Dagster webserver",
                webserver,
                dagster.is_webserver_ready,
                needs=(schema_step,),
                finish=dagster.require_guard,
            ),
            Step("Dagster daemon", daemon, dagster.is_daemon_ready, needs=(schema_step,)),
        ]

    def _begin(self, spec: Callable[[], ChildSpec], level: int, *, needs_children: bool = False) -> Begin:
        """A step's beginning that spawns `spec()` under supervision, to be restarted when it dies."""
        return lambda: self.supervisor.add(
            ChildProcess.spawn(spec()), level=level, is_restartable=True, needs_children=needs_children
        )

    def _readdress(self) -> ChildProcess | None:
        """Point connectors at a sandbox that isn't where it was, before anybody syncs; None when it never moved."""
        if self._sandbox is None or not self._sandbox.known_addresses.have_moved:
            return None
        file = self._sandbox.known_addresses.file
        return ChildProcess.spawn(
            ChildSpec(
                name=_CONNECTORS_STEP,
                command=[sys.executable, "-m", "gtmc_pipelines.workflows.moved_sandbox", file],
                log_file=self.home / "logs" / "sandbox-connectors.log",
                environment=self._child_environment(with_key=True),
                gives_up_rights=True,
            )
        )

    def _worker(self) -> ChildSpec:
        return ChildSpec(
            name="Worker",
            command=[sys.executable, "-m", "gtmc_pipelines.cli.main", "worker"],
            log_file=self.home / "logs" / "worker.log",
            output_file=self._worker_announcement,
            environment=self._child_environment(with_key=True),
            grace_seconds=20.0,
            gives_up_rights=True,
        )

    def _child_environment(self, *, with_key: bool = False) -> dict[str, str]:
        """The whole environment of a child, as far as ports are known by now."""
        variables = {"GTMC_HOME": str(self.home), **self._servers.environment(), **self._own_environment()}
        if self._dagster is not None:
            variables |= {"DAGSTER_HOME": str(self._dagster.home), "DAGSTER_DISABLE_TELEMETRY": "1"}
            variables["DAGSTER_EVENT_BATCH_SIZE"] = _EVENT_BATCH
        if with_key:
            variables |= self._key
        return child_environment(variables)

    def _own_environment(self) -> dict[str, str]:
        """Variables that lead to what is embedded, except those the user has set."""
        chosen = {variable_of(name) for name in self.settings.model_fields_set}
        variables = self._servers.embedded_environment()
        if self._dagster is not None:
            variables["GTMC_DAGSTER_URL"] = self._dagster.url
        if self._sandbox is not None:
            variables |= without_real_vendors(sandbox_environment(self._sandbox.announcement()), chosen)
        return {name: value for name, value in variables.items() if name not in chosen}

    def _describe(self) -> None:
        self.environment = self._own_environment()
        addresses = self._servers.addresses()
        if self._dagster is not None:
            addresses = {"Dagster UI": self._dagster.url, **addresses}
        if self._sandbox is not None:
            addresses |= {f"Sandbox {name}": url for name, url in self._sandbox.addresses().items()}
            addresses["Sandbox keys"] = str(self._sandbox.keys_folder)
        self.addresses = {**addresses, "Logs": str(self.home / "logs")}
