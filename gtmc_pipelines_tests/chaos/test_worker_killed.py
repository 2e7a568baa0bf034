"""kill -9 of the worker in the middle of 200,000 records: nothing is lost, nothing written twice."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gtmc_pipelines.connectors.bound import note_for
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.noted_addresses import NOTED
from gtmc_pipelines.model.phases import Outcome, SyncMode, Trigger
from gtmc_pipelines.settings import Settings, child_environment
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import row, rows
from gtmc_pipelines.storage.sync_history import SyncLog, list_syncs
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.inputs import SyncRequest

pytestmark = [pytest.mark.services, pytest.mark.chaos]

CONTACTS = 200_000
KILL_AFTER = 30_000
KEY = os.urandom(32).hex()


@dataclass
class Machine:
    """Addresses of the services, and processes of this test's own."""

    folder: Path
    environment: dict[str, str]

    @contextmanager
    def child(self, name: str, *command: str, output: Path | None = None) -> Iterator[ChildProcess]:
        child = ChildProcess.spawn(
            ChildSpec(
                name=name,
                command=[sys.executable, "-m", "gtmc_pipelines.cli.main", *command],
                log_file=self.folder / f"{name}.log",
                output_file=output,
                environment=child_environment(self.environment),
            )
        )
        try:
            yield child
        finally:
            child.stop()

    @contextmanager
    def worker(self, name: str) -> Iterator[ChildProcess]:
        said = self.folder / f"{name}.out"
        with self.child(name, "worker", output=said) as child:
            child.wait_until(lambda: "polls" in said.read_text(), within_seconds=60)
            yield child


@pytest.fixture
def machine(tmp_path: Path, temporal_address: str, postgres_url: str, database: Database) -> Machine:
    return Machine(
        tmp_path,
        {
            "GTMC_HOME": str(tmp_path),
            "GTMC_DATABASE_URL": postgres_url,
            "TEMPORAL_ADDRESS": temporal_address,
            "GTMC_TASK_QUEUE": f"chaos-{uuid.uuid4().hex[:10]}",
            "CONNECTOR_ENCRYPTION_KEY": KEY,
            "GTMC_HEARTBEAT_SECONDS": "3",
        },
    )


@pytest.fixture
def org(machine: Machine) -> Iterator[dict[str, Any]]:
    """A sandbox of its own, with one org of 200,000 contacts."""
    said = machine.folder / "sandbox.json"
    options = ("--vendor", "salesforce", "--tenants", "acme", "--size", f"contacts={CONTACTS}")
    with machine.child("sandbox", "sandbox", "--json", *options, output=said) as child:
        child.wait_until(lambda: bool(said.read_text().strip()), within_seconds=60)
        vendor = json.loads(said.read_text())["vendors"]["salesforce"]
        yield {"url": vendor["http"], **vendor["credentials"]["orgs"]["acme"]}


def test_a_killed_worker_loses_nothing_and_writes_nothing_twice(
    machine: Machine, org: dict[str, Any], database: Database, tenant: str
) -> None:
    settings = _settings(machine, org)
    connector = _connected(settings, database, tenant, org)
    request = SyncRequest(tenant, connector.id, ConnectorType.SALESFORCE, SyncMode.FULL, trigger=Trigger.CLI)
    with SyncClient.open(settings) as client:
        with machine.worker("first") as worker:
            handle = client.start(request, datetime.now(UTC))
            _until(lambda: _log(database, tenant).counts.read > KILL_AFTER, 90)
            os.kill(worker.pid, signal.SIGKILL)
        left = _log(database, tenant).counts.read
        assert left < CONTACTS, "it was killed in the middle"
        killed_at = time.monotonic()
        with machine.worker("second"):
            _until(lambda: _log(database, tenant).counts.read > left, 60)
            resumed_after = time.monotonic() - killed_at
            outcome = client.outcome(handle)
    assert outcome.outcome is Outcome.COMPLETED, outcome
    assert resumed_after < 3 + 15
    assert outcome.totals.is_balanced
    contacts = outcome.counts["contacts"]
    assert contacts["failed"] == 0
    objects = json.loads(_get(org, "truth?org=acme&digest=false"))["objects"]["Contact"]
    assert objects["live"] == CONTACTS
    assert contacts["read"] == objects["live"] + objects["deleted"], "a committed page is not read again"
    assert contacts["created"] == CONTACTS
    truth = {json.loads(line)["Id"] for line in _get(org, "truth?org=acme&object=Contact").splitlines()}
    assert len(truth) == CONTACTS
    with database.tenant(tenant) as db:
        raw = [
            each["external_id"]
            for each in rows(db, "SELECT external_id FROM raw.salesforce_contacts WHERE NOT deleted")
        ]
        doubles = row(db, "SELECT count(*) - count(DISTINCT external_id) AS n FROM people")
        people = {each["external_id"] for each in rows(db, "SELECT external_id FROM people")}
    assert len(raw) == CONTACTS
    assert set(raw) == truth
    assert truth <= people
    assert doubles == {"n": 0}
    assert require_connector(database, tenant, "salesforce").status is ConnectorStatus.CONNECTED


def _settings(machine: Machine, org: dict[str, Any]) -> Settings:
    machine.environment["GTMC_SANDBOX_HOSTS"] = org["url"].removeprefix("http://")
    values: dict[str, Any] = dict(machine.environment)
    return Settings(**values)


def _connected(settings: Settings, database: Database, tenant: str, org: dict[str, Any]) -> ConnectorRow:
    connector = add_connector(database, tenant, "salesforce", options={"instance_url": org["url"]})
    credentials = StoredCredentials(database, key_ring(settings), tenant, connector.id)
    note = note_for(tenant, connector.id, [org["url"], settings.salesforce_login_url])  # as connecting leaves it
    credentials.save({"access_token": Secret(org["access_token"]), NOTED: note})
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, connector.id, ConnectorStatus.CONNECTED)
    return connector


def _log(database: Database, tenant: str) -> SyncLog:
    _until(lambda: bool(list_syncs(database, tenant)), 60)
    return list_syncs(database, tenant)[0]


def _get(org: dict[str, Any], path: str) -> str:
    with urllib.request.urlopen(f"{org['url']}/_sandbox/{path}") as answer:
        return str(answer.read().decode())


def _until(condition: Callable[[], bool], within_seconds: float) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it didn't happen in time"
        time.sleep(0.05)
