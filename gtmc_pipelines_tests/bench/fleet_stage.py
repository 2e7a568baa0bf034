"""Services for the fleet's benchmark: PostgreSQL, Temporal, sandbox and workers, each a real process."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gtmc_pipelines.settings import Settings, child_environment
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import DAGSTER_LOGIN, EmbeddedPostgres
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.sandbox_part import sandbox_environment
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.workflows.namespace import prepare_namespace
from gtmc_pipelines_tests.bench.fleet_vendors import ORG, SIZES, lift_limits

_READY_SECONDS = 90.0


@dataclass(frozen=True)
class FleetStage:
    """What the benchmark works with.

    `environment` is that of Dagster's run processes, `owner_url` that of the superuser, `vendors` what the sandbox
    announced, `services` the process ids of each service, by its name.
    """

    environment: Mapping[str, str]
    owner_url: str
    vendors: Mapping[str, Any]
    services: Mapping[str, list[int]]

    @property
    def libpq_url(self) -> str:
        """The same as psycopg alone takes it."""
        return self.owner_url.replace("+psycopg", "")

    @property
    def settings(self) -> Settings:
        """Settings as the worker has them."""
        return Settings(**self.environment)  # type: ignore[arg-type]


@contextmanager
def fleet_stage(home: Path, workers: int) -> Iterator[FleetStage]:
    """Everything started in `home`, stopped again on exit."""
    home.chmod(0o755)
    services: dict[str, list[int]] = {}
    with ExitStack() as stack:
        server = EmbeddedPostgres(home / "postgres", port=free_port())
        temporal = EmbeddedTemporal(home / "temporal", port=free_port(), ui_port=free_port())
        for name, part in (("PostgreSQL", server), ("Temporal", temporal)):
            stack.callback(part.stop)
            child = part.spawn()
            child.wait_until(part.is_ready, within_seconds=_READY_SECONDS)
            services[name] = [child.pid]
        server.ensure_database("gtmc")
        server.ensure_database("dagster", DAGSTER_LOGIN, owns=True)
        migrate(server.url("gtmc"))
        prepare_namespace(temporal.address, "default")
        services["sandbox"] = [_sandbox(home, stack).pid]
        announcement = json.loads((home / "sandbox.json").read_text())
        lift_limits(announcement["vendors"])
        environment = _environment(home, server, temporal.address, announcement)
        shutil.copyfile(
            Path(__file__).parents[2] / "gtmc_pipelines" / "dagster.yaml",
            Path(environment["DAGSTER_HOME"]) / "dagster.yaml",
        )
        services["worker"] = [_worker(home, number, environment, stack).pid for number in range(1, workers + 1)]
        yield FleetStage(environment, server.url("gtmc"), announcement["vendors"], services)


def _environment(
    home: Path, server: EmbeddedPostgres, temporal: str, announcement: Mapping[str, Any]
) -> dict[str, str]:
    (home / "dagster").mkdir()
    return sandbox_environment(announcement) | {
        "GTMC_HOME": str(home),
        "GTMC_DATABASE_URL": server.url("gtmc"),
        "TEMPORAL_ADDRESS": temporal,
        "CONNECTOR_ENCRYPTION_KEY": os.urandom(32).hex(),
        "DAGSTER_HOME": str(home / "dagster"),
        "DAGSTER_PG_URL": server.dagster_url(),
        "DAGSTER_EVENT_BATCH_SIZE": "500",
    }


def _sandbox(home: Path, stack: ExitStack) -> ChildProcess:
    sizes = [part for name, size in SIZES.items() for part in ("--size", f"{name}={size}")]
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox", "--json", "--tenants", ORG, *sizes]
    return _child("the sandbox", command, {"GTMC_HOME": str(home / "sandbox")}, home / "sandbox.json", stack, "\n")


def _worker(home: Path, number: int, environment: Mapping[str, str], stack: ExitStack) -> ChildProcess:
    command = [sys.executable, "-m", "gtmc_pipelines.cli.main", "worker"]
    return _child(f"worker {number}", command, environment, home / f"worker-{number}.out", stack, "polls")


def _child(
    name: str, command: list[str], environment: Mapping[str, str], output: Path, stack: ExitStack, ready: str
) -> ChildProcess:
    spec = ChildSpec(
        name=name,
        command=command,
        log_file=output.with_suffix(".log"),
        output_file=output,
        environment=child_environment(environment),
    )
    child = ChildProcess.spawn(spec)
    stack.callback(child.stop)
    child.wait_until(lambda: ready in output.read_text(), within_seconds=_READY_SECONDS)
    return child
