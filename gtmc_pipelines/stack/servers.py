"""The two servers under everything, PostgreSQL and Temporal: the user's own, else embedded ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from gtmc_pipelines.settings import Settings
from gtmc_pipelines.stack.dagster_storage import DATABASE as DAGSTER_DATABASE
from gtmc_pipelines.stack.dagster_storage import create_beside, url_beside
from gtmc_pipelines.stack.ports import answers_http
from gtmc_pipelines.stack.postgres import DAGSTER_LOGIN, LOGIN, EmbeddedPostgres
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.startup import Begin, Step
from gtmc_pipelines.stack.supervisor import Supervisor
from gtmc_pipelines.stack.temporal import EmbeddedTemporal

DATABASE = "gtmc"
SERVER_LEVEL = 0
# A program of its own: this room doesn't import storage, and the start doesn't wait for its imports.
_NAMESPACE = ["-m", "gtmc_pipelines.workflows.namespace"]
_MIGRATE = ["-m", "gtmc_pipelines.cli.main", "migrate"]


class Servers:
    """What of the two we start ourselves, where they are, and the steps that prepare them.

    `postgres` and `temporal` are None for a server of the user's own.
    """

    def __init__(self, settings: Settings, home: Path) -> None:
        self._settings = settings
        self._logs = home / "logs"
        self.postgres: EmbeddedPostgres | None = None
        self.temporal: EmbeddedTemporal | None = None
        if settings.database_url is None:
            self.postgres = EmbeddedPostgres(home / "postgres", log_file=self._logs / "postgres.log")
        if settings.temporal_address is None:
            self.temporal = EmbeddedTemporal(
                home / "temporal", namespace=settings.temporal_namespace, log_file=self._logs / "temporal.log"
            )

    def embedded_environment(self) -> dict[str, str]:
        """Variables that lead to the servers we started; nothing of the user's own."""
        variables = {}
        if self.postgres is not None:
            variables["GTMC_DATABASE_URL"] = self.postgres.login_url(DATABASE)
            if self._settings.dagster_pg_url is None:
                variables["DAGSTER_PG_URL"] = self.postgres.dagster_url(DAGSTER_DATABASE)
        if self.temporal is not None:
            variables["TEMPORAL_ADDRESS"] = self.temporal.address
            variables["TEMPORAL_NAMESPACE"] = self._settings.temporal_namespace
            if self._settings.temporal_ui_url is None:
                variables["GTMC_TEMPORAL_UI_URL"] = self.temporal.ui_url
        return variables

    def environment(self) -> dict[str, str]:
        """The same, and what our processes need to find the user's own servers."""
        variables = self.embedded_environment()
        if self.postgres is None and self._settings.dagster_pg_url is None and self._settings.database_url is not None:
            variables["DAGSTER_PG_URL"] = url_beside(self._settings.database_url)
        return variables

    def addresses(self) -> dict[str, str]:
        """What we started, for people."""
        addresses: dict[str, str] = {}
        if self.temporal is not None:
            addresses |= {"Temporal UI": self.temporal.ui_url, "Temporal": self.temporal.address}
        if self.postgres is not None:
            addresses["PostgreSQL"] = self.postgres.login_url(DATABASE).replace("+psycopg", "")
        return addresses

    def account_group(self) -> int | None:
        """The group of the account that runs the embedded PostgreSQL when we are root."""
        account = self.postgres.account if self.postgres is not None else None
        return account[1] if account is not None else None

    def ports(self) -> dict[str, int]:
        """Ports of what we started, by the names of USUAL_PORTS."""
        ports = {}
        if self.postgres is not None:
            ports["postgres"] = self.postgres.port
        if self.temporal is not None:
            ports |= {"temporal": self.temporal.port, "temporal_ui": self.temporal.ui_port}
        return ports

    def steps(self, supervisor: Supervisor, environment: Callable[[], dict[str, str]]) -> list[Step]:
        """Servers, databases, migrations, namespace. `environment` is asked when a program starts."""
        return [
            *(_server_step("PostgreSQL", server, supervisor) for server in [self.postgres] if server),
            *(_server_step("Temporal", server, supervisor) for server in [self.temporal] if server),
            Step("Databases", self._create_databases, needs=("PostgreSQL",)),
            Step(
                "Migrations",
                self._program("Migrations", _MIGRATE, self._as_owner(environment), gives_up_rights=False),
                needs=("Databases",),
            ),
            Step(
                "Temporal namespace",
                self._program("Temporal namespace", _NAMESPACE, environment, gives_up_rights=True),
                needs=("Temporal",),
            ),
        ]

    def has_worker(self, announcement: Path) -> bool:
        """Whether our worker polls the queue: asked of the embedded server, else as the worker itself announced."""
        if self.temporal is None:
            return announcement.exists() and announcement.stat().st_size > 0
        queue = f"/api/v1/namespaces/{self._settings.temporal_namespace}/task-queues/{self._settings.task_queue}"
        return answers_http(self.temporal.ui_port, f"{queue}?taskQueueType=1", containing=b'"identity"')

    def stop(self) -> None:
        """Stop what we started. Everything that uses it must be gone."""
        for server in (self.temporal, self.postgres):
            if server is not None:
                server.stop()

    def _create_databases(self) -> ChildProcess | None:
        if self.postgres is not None:
            self.postgres.ensure_database(DATABASE, LOGIN)
            self.postgres.ensure_database(DAGSTER_DATABASE, DAGSTER_LOGIN, owns=True)
        elif self._settings.dagster_pg_url is None and self._settings.database_url is not None:
            create_beside(self._settings.database_url)
        return None

    def _as_owner(self, environment: Callable[[], dict[str, str]]) -> Callable[[], dict[str, str]]:
        """The environment with the schema's owner, the embedded server's superuser: for the migrations alone."""
        postgres, own = self.postgres, self._settings.owner_database_url
        if postgres is None and own is None:
            return environment
        return lambda: {**environment(), "GTMC_OWNER_DATABASE_URL": postgres.url(DATABASE) if postgres else str(own)}

    def _program(
        self, name: str, arguments: list[str], environment: Callable[[], dict[str, str]], *, gives_up_rights: bool
    ) -> Begin:
        def begin() -> ChildProcess:
            return ChildProcess.spawn(
                ChildSpec(
                    name=name,
                    command=[sys.executable, *arguments],
                    log_file=self._logs / (name.lower().replace(" ", "-") + ".log"),
                    environment=environment(),
                    gives_up_rights=gives_up_rights,
                )
            )

        return begin


def _server_step(name: str, server: EmbeddedPostgres | EmbeddedTemporal, supervisor: Supervisor) -> Step:
    def begin() -> ChildProcess:
        return supervisor.add(server.spawn(), level=SERVER_LEVEL)

    return Step(name, begin, server.is_ready)
