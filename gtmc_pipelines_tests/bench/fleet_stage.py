"""Services and data for the fleet's benchmark: PostgreSQL, Temporal, sandbox, a worker, connected tenants."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.ids import new_connector_id
from gtmc_pipelines.settings import Settings, child_environment
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.namespace import prepare_namespace

ORG = "initech"
_FLEET = """
INSERT INTO tenants (id, name, slug) SELECT t, t, t FROM unnest(%(tenants)s::text[]) AS t;
"""
_CONNECTORS = """
INSERT INTO connectors (id, tenant_id, type, name, status, last_sync_at)
SELECT * , 'connected', now() - interval '5 hours' FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
"""
_LOGS = """
INSERT INTO sync_logs (id, tenant_id, connector_id, sync_type, status, started_at, completed_at, workflow_run_id)
SELECT gen_random_uuid()::text, c.tenant_id, c.id, 'incremental', 'completed', now() - n * interval '4 hours',
       now() - n * interval '4 hours' + interval '1 second', gen_random_uuid()::text
  FROM connectors c, generate_series(1, 6) AS n
"""
_CONSENT = "INSERT INTO o365_config (tenant_id, dpa_accepted_at) SELECT id, now() - interval '9 days' FROM tenants"


@dataclass(frozen=True)
class FleetStage:
    """What the benchmark works with. `environment` is that of Dagster's run processes."""

    environment: dict[str, str]
    database_url: str
    sandbox: dict[str, Any]

    def connect(self, names: list[str]) -> None:
        """Real tenants, connected to the sandbox's org."""
        settings, database = Settings(**self.environment), open_database(self.database_url)  # type: ignore[arg-type]
        try:
            for name in names:
                self._connect(settings, database, name)
        finally:
            database.close()

    def _connect(self, settings: Settings, database: Database, tenant: str) -> None:
        add_tenant(database, tenant)
        row = add_connector(database, tenant, "salesforce", options={"instance_url": self.sandbox["http"]})
        token = Secret(self.sandbox["credentials"]["orgs"][ORG]["access_token"])
        StoredCredentials(database, key_ring(settings), tenant, row.id).save({"access_token": token})
        with database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)


def seed_fleet(url: str, tenants: int) -> None:
    """`tenants` tenants with all five connectors, due, with a day of sync logs each; rows only."""
    names = [f"fleet-{number:05}" for number in range(tenants)]
    values = [(new_connector_id(), name, kind.value, kind.label) for name in names for kind in ConnectorType]
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute(_FLEET, {"tenants": names})
        connection.execute(_CONNECTORS, [list(column) for column in zip(*values, strict=True)])
        connection.execute(_LOGS)
        connection.execute(_CONSENT)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ANALYZE")


@contextmanager
def fleet_stage(home: Path) -> Iterator[FleetStage]:
    """Everything started in `home`, stopped again on exit."""
    home.chmod(0o755)
    with ExitStack() as stack:
        server = EmbeddedPostgres(home / "postgres", port=free_port())
        server.start()
        stack.callback(server.stop)
        for name in ("gtmc", "dagster"):
            server.ensure_database(name)
        migrate(server.url("gtmc"))
        temporal = EmbeddedTemporal(home / "temporal", port=free_port(), ui_port=free_port())
        temporal.start()
        stack.callback(temporal.stop)
        prepare_namespace(temporal.address, "default")
        sandbox = _sandbox(home, stack)
        environment = _environment(home, server, temporal.address, sandbox)
        shutil.copyfile(Path(__file__).parents[2] / "dagster.yaml", Path(environment["DAGSTER_HOME"]) / "dagster.yaml")
        _worker(home, environment, stack)
        yield FleetStage(environment, server.url("gtmc"), sandbox)


def _environment(home: Path, server: EmbeddedPostgres, temporal: str, sandbox: dict[str, Any]) -> dict[str, str]:
    (home / "dagster").mkdir()
    return {
        "GTMC_HOME": str(home),
        "GTMC_DATABASE_URL": server.url("gtmc"),
        "TEMPORAL_ADDRESS": temporal,
        "CONNECTOR_ENCRYPTION_KEY": os.urandom(32).hex(),
        "SALESFORCE_LOGIN_URL": sandbox["http"],
        "SALESFORCE_CLIENT_ID": sandbox["credentials"]["client_id"],
        "SALESFORCE_CLIENT_SECRET": sandbox["credentials"]["client_secret"],
        "GTMC_SANDBOX_HOSTS": urlsplit(sandbox["http"]).netloc,
        "DAGSTER_HOME": str(home / "dagster"),
        "DAGSTER_PG_URL": server.dagster_url(),
        "DAGSTER_EVENT_BATCH_SIZE": "500",
    }


def _sandbox(home: Path, stack: ExitStack) -> dict[str, Any]:
    announcement = home / "sandbox.json"
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox", "--json", "--vendor", "salesforce"]
    _child("the sandbox", command, {"GTMC_HOME": str(home / "sandbox")}, announcement, stack, "\n")
    found: dict[str, Any] = json.loads(announcement.read_text())["vendors"]["salesforce"]
    return found


def _worker(home: Path, environment: dict[str, str], stack: ExitStack) -> None:
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "worker"]
    _child("the worker", command, environment, home / "worker.out", stack, "polls")


def _child(
    name: str, command: list[str], environment: dict[str, str], output: Path, stack: ExitStack, ready: str
) -> None:
    spec = ChildSpec(
        name=name,
        command=command,
        log_file=output.with_suffix(".log"),
        output_file=output,
        environment=child_environment(environment),
    )
    child = ChildProcess.spawn(spec)
    stack.callback(child.stop)
    child.wait_until(lambda: ready in output.read_text(), within_seconds=90.0)
