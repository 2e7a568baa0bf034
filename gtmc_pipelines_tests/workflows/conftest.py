"""What the workflow tests share: a worker in this process, a client, a scripted connector of a fresh tenant."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.leases import Held, holder
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.sync_history import SyncLog, require_sync
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities import sessions, sync_segment
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.client import SyncClient, SyncHandle
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.inputs import SyncOutcome, SyncRequest
from gtmc_pipelines.workflows.liveness import is_holding
from gtmc_pipelines.workflows.pollers import until_polling
from gtmc_pipelines.workflows.worker import build_worker
from gtmc_pipelines_tests.workflows.scripted import CANARY_TOKEN, ScriptedConnector

KEY = os.urandom(32).hex()


@dataclass
class Stage:
    """One connected connector of one tenant, and everything a test does with it."""

    settings: Settings
    database: Database
    tenant: str
    row: ConnectorRow
    connector: ScriptedConnector
    client: SyncClient
    started: list[SyncHandle] = field(default_factory=list)

    def request(self, mode: SyncMode = SyncMode.INCREMENTAL, **more: Any) -> SyncRequest:
        return SyncRequest(self.tenant, self.row.id, self.row.type, mode, trigger=Trigger.CLI, **more)

    def start(self, mode: SyncMode = SyncMode.INCREMENTAL, at: datetime | None = None, **more: Any) -> SyncHandle:
        self.started.append(self.client.start(self.request(mode, **more), at or datetime.now(UTC)))
        return self.started[-1]

    def sync(self, mode: SyncMode = SyncMode.INCREMENTAL, **more: Any) -> SyncOutcome:
        return self.client.outcome(self.start(mode, **more))

    @property
    def status(self) -> ConnectorStatus:
        return self.now.status

    @property
    def now(self) -> ConnectorRow:
        return require_connector(self.database, self.tenant, self.row.id)

    @property
    def lease(self) -> Held | None:
        with self.database.tenant(self.tenant) as handle:
            return holder(handle, self.tenant, self.row.id)

    def log(self, sync_log_id: str) -> SyncLog:
        return require_sync(self.database, self.tenant, sync_log_id)

    def audited(self, limit: int) -> list[tuple[str, str]]:
        """What the newest rows of the audit log say was done, and by whom."""
        with self.database.tenant(self.tenant) as handle:
            return [(entry.action, entry.actor) for entry in list_entries(handle, self.tenant, limit)]

    def ids(self, table: str = "people") -> list[str]:
        with self.database.tenant(self.tenant) as handle:
            found = rows(handle, f"SELECT external_id FROM {table} ORDER BY external_id")
        return [each["external_id"] for each in found]


@pytest.fixture
def worker_settings(temporal_address: str, postgres_url: str, tmp_path: Path) -> Settings:
    """Settings with a task queue of the test's own and a short heartbeat."""
    values: dict[str, Any] = {
        "GTMC_HOME": tmp_path,
        "GTMC_DATABASE_URL": postgres_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "GTMC_TASK_QUEUE": f"test-{uuid.uuid4().hex[:12]}",
        "CONNECTOR_ENCRYPTION_KEY": KEY,
        "GTMC_HEARTBEAT_SECONDS": 4,
        "GTMC_SEGMENT_RECORDS": 100_000,
    }
    return Settings(**values)


@pytest.fixture
def make_stage(database: Database, tenant: str, worker_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Opens a stage, with a worker running unless told otherwise; settings may be changed."""
    connector = ScriptedConnector()
    for module in (sessions, sync_segment):
        monkeypatch.setattr(module, "connector_of", lambda kind: connector)

    @contextmanager
    def make(
        *, with_worker: bool = True, kind: ConnectorType = ConnectorType.SALESFORCE, **changes: Any
    ) -> Iterator[Stage]:
        settings = worker_settings.model_copy(update=changes)
        connector.type, connector.streams = kind, STREAMS[kind]
        row = add_connector(database, tenant, kind)
        credentials = StoredCredentials(database, key_ring(settings), tenant, row.id)
        credentials.save({"access_token": Secret(CANARY_TOKEN)})
        with database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
        with SyncClient.open(settings) as client:
            stage = Stage(settings, database, tenant, row, connector, client)
            if with_worker:
                with running_worker(settings, database):
                    yield stage
            else:
                yield stage

    return make


@pytest.fixture
def stage(make_stage: Any) -> Iterator[Stage]:
    """A stage with its worker."""
    with make_stage() as opened:
        yield opened


@contextmanager
def running_worker(settings: Settings, database: Database, concurrency: int = 4) -> Iterator[None]:
    """A worker in a thread of this process, polling before the block begins."""
    ready, stopped = threading.Event(), threading.Event()
    problem: list[Exception] = []

    async def work() -> None:
        client = await connect(settings.required("temporal_address"), settings.temporal_namespace)
        loop = asyncio.get_running_loop()

        def ask(held: Held) -> bool:
            return asyncio.run_coroutine_threadsafe(is_holding(client, held), loop).result()

        services = Services(settings, database, key_ring(settings), ask)
        async with build_worker(client, settings.task_queue, services, concurrency):
            await until_polling(client, settings.task_queue, client.identity)
            ready.set()
            await asyncio.to_thread(stopped.wait)

    def run() -> None:
        try:
            asyncio.run(work())
        except Exception as error:  # noqa: BLE001 - raised in the test's own thread
            problem.append(error)
            ready.set()

    thread = threading.Thread(target=run, name="test-worker")
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        stopped.set()
        thread.join(40)
    if problem:
        raise problem[0]


def history_of(settings: Settings, workflow_id: str, run_id: str | None = None) -> str:
    """The whole history of a workflow's run (its latest one) as JSON."""

    async def fetch() -> str:
        client: Client = await connect(settings.required("temporal_address"), settings.temporal_namespace)
        return (await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()).to_json()

    return asyncio.run(fetch())
