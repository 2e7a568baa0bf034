"""What the Dagster tests share: an instance, the environment of the real services, a worker, connected tenants."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.definitions import defs
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities import sessions, sync_segment
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines_tests.workflows.conftest import running_worker
from gtmc_pipelines_tests.workflows.scripted import ScriptedConnector

Connect = Callable[..., ConnectorRow]
Materialize = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on disk, with the partition sets empty."""
    with dg.instance_for_test() as found:
        yield found


@pytest.fixture
def environment(
    temporal_address: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The environment of a run that has services, set for this process too; a task queue of its own."""
    variables = {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "GTMC_TEMPORAL_UI_URL": "http://temporal.example",
        "GTMC_TASK_QUEUE": f"test-{uuid.uuid4().hex[:12]}",
        "CONNECTOR_ENCRYPTION_KEY": os.urandom(32).hex(),
        "GTMC_HEARTBEAT_SECONDS": "4",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings of that environment."""
    return load_settings()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedConnector:
    """The connector the worker uses instead of a vendor's."""
    connector = ScriptedConnector()
    for module in (sessions, sync_segment):
        monkeypatch.setattr(module, "connector_of", lambda kind: connector)
    return connector


@pytest.fixture
def worker(settings: Settings, database: Database) -> Iterator[None]:
    """A real worker on the test's own task queue."""
    with running_worker(settings, database):
        yield


@pytest.fixture
def connect(settings: Settings, database: Database, instance: dg.DagsterInstance) -> Connect:
    """Connects Salesforce for a tenant and makes the tenant a partition."""

    def connected(tenant: str, options: dict[str, Any] | None = None, token: str = "t") -> ConnectorRow:
        row = add_connector(database, tenant, "salesforce", options=options)
        secrets = {"access_token": Secret(token)}
        StoredCredentials(database, key_ring(settings), tenant, row.id).save(secrets)
        with database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
        instance.add_dynamic_partitions("salesforce_tenants", [tenant])
        return row

    return connected


@pytest.fixture
def materialize(instance: dg.DagsterInstance) -> Materialize:
    """Runs the job `salesforce_sync` in this process, as the Launchpad would."""

    def run(
        tenant: str | None = None, *, tags: dict[str, str] | None = None, assets: list[str] | None = None, **config: Any
    ) -> dg.ExecuteInProcessResult:
        keys = [dg.AssetKey.from_user_string(f"salesforce/{name}") for name in assets] if assets else None
        return defs.resolve_job_def("salesforce_sync").execute_in_process(
            instance=instance,
            partition_key=tenant,
            tags=tags,
            asset_selection=keys,
            run_config={"ops": {str(ConnectorType.SALESFORCE): {"config": config}}} if config else None,
            raise_on_error=False,
        )

    return run
