"""Consent governs a running sync: withdrawn, it stops within a batch; other lists, it goes on under the new ones."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.phases import Outcome, Trigger
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import accept_dpa, set_domains, withdraw_dpa
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.inputs import SyncOutcome, SyncRequest
from gtmc_pipelines_tests.connectors.o365_scene import Directory
from gtmc_pipelines_tests.workflows.conftest import running_worker

pytestmark = pytest.mark.services


@dataclass
class Scene:
    """A tenant whose Office 365 is connected, and a worker that syncs it."""

    directory: Directory
    database: Database
    tenant: str
    row: ConnectorRow
    client: SyncClient

    def sync(self, meanwhile: Callable[[], None] = lambda: None) -> SyncOutcome:
        """A sync; `meanwhile` is called when it has been under way for some pages."""
        request = SyncRequest(self.tenant, self.row.id, ConnectorType.O365, trigger=Trigger.CLI)
        handle = self.client.start(request, datetime.now(UTC))
        meanwhile()
        return self.client.outcome(handle)

    def wait_for_rows(self) -> None:
        """Until something has been written."""
        deadline = time.monotonic() + 30
        while not self.stored("activities"):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stored(self, table: str) -> dict[str, Any]:
        """External ids and what is stored with them."""
        with self.database.tenant(self.tenant) as handle:
            found = rows(handle, f"SELECT external_id, to_jsonb(t) AS row FROM {table} t")
        return {each["external_id"]: each["row"] for each in found}

    def allow(self, domains: list[str]) -> None:
        """Set the list."""
        set_domains(self.database, self.tenant, domains, self.directory.org["domain"], actor="test")

    def accept(self) -> None:
        """Accept the agreement."""
        accept_dpa(self.database, self.tenant, actor="test", dpa_version="1", at=datetime.now(UTC))


@pytest.fixture
def scene(
    sandbox: dict[str, Any],
    database: Database,
    tenant: str,
    postgres_url: str,
    temporal_address: str,
    tmp_path: Path,
) -> Iterator[Scene]:
    directory = Directory(sandbox["vendors"]["o365"], sandbox["ca_file"])
    directory.ask("POST", "reset", {})
    composed = directory.settings()
    values: dict[str, Any] = {
        "GTMC_HOME": tmp_path,
        "GTMC_DATABASE_URL": postgres_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "GTMC_TASK_QUEUE": f"o365-{uuid.uuid4().hex[:12]}",
        "CONNECTOR_ENCRYPTION_KEY": os.urandom(32).hex(),
        "GTMC_SANDBOX_HOSTS": ",".join(composed.sandbox_hosts),
        "GTMC_CA_FILE": directory.ca_file,
        "O365_LOGIN_URL": composed.options["login_url"],
        "O365_GRAPH_URL": composed.options["graph_url"],
        "O365_CLIENT_ID": composed.app["client_id"].reveal(),
        "O365_CLIENT_SECRET": composed.app["client_secret"].reveal(),
    }
    settings = Settings(**values)
    row = add_connector(database, tenant, "o365", options={"mail_page_size": 5})
    directory_id = Secret(directory.org["directory_id"])
    StoredCredentials(database, key_ring(settings), tenant, row.id).save({"directory_id": directory_id})
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
    with running_worker(settings, database), SyncClient.open(settings) as client:
        yield Scene(directory, database, tenant, row, client)


def test_without_the_agreement_nobody_is_asked_anything(scene: Scene) -> None:
    scene.allow(scene.directory.allowed)
    outcome = scene.sync()
    assert (outcome.outcome, outcome.error_code) == (Outcome.FAILED, "dpa_not_accepted")
    assert "gtmc o365 accept-dpa" in outcome.next_step
    assert scene.directory.requests() == []


def test_with_an_empty_list_the_sync_completes_with_nothing_asked_and_nothing_kept(scene: Scene) -> None:
    scene.accept()
    outcome = scene.sync()
    assert outcome.outcome is Outcome.COMPLETED
    assert outcome.totals.read == 0
    assert scene.directory.requests() == []
    assert scene.stored("raw.o365_email_metadata") == {}


def test_a_withdrawal_stops_a_running_sync_within_a_batch(scene: Scene) -> None:
    scene.accept()
    scene.allow(scene.directory.allowed)
    scene.directory.break_("slow", latency_ms=150, path="messages")
    kept: dict[str, Any] = {}

    def withdraw() -> None:
        scene.wait_for_rows()
        withdraw_dpa(scene.database, scene.tenant, actor="test", at=datetime.now(UTC))
        kept.update(scene.stored("activities"))

    outcome = scene.sync(withdraw)
    assert (outcome.outcome, outcome.error_code) == (Outcome.FAILED, "dpa_not_accepted")
    assert scene.stored("activities").keys() == kept.keys()
    assert 0 < len(kept) < len(scene.directory.expected())
    asked = len(scene.directory.requests())
    status = require_connector(scene.database, scene.tenant, scene.row.id)
    assert (status.status, status.error_kind) == (ConnectorStatus.ERROR, "reauthorize")
    again = scene.sync()
    assert again.error_code == "dpa_not_accepted"
    assert len(scene.directory.requests()) == asked


def test_a_narrowed_list_holds_from_the_next_batch_on(scene: Scene) -> None:
    scene.accept()
    scene.allow(scene.directory.allowed)
    scene.directory.break_("slow", latency_ms=150, path="messages")
    few = scene.directory.allowed[:4]
    kept: dict[str, Any] = {}

    def narrow() -> None:
        scene.wait_for_rows()
        scene.allow(few)
        kept.update(scene.stored("activities"))

    outcome = scene.sync(narrow)
    assert outcome.outcome is Outcome.COMPLETED
    later = [row for key, row in scene.stored("activities").items() if key not in kept]
    assert all(row["person_external_id"].rpartition("@")[2] in few for row in later)
    scene.allow(scene.directory.allowed)
    scene.directory.ask("DELETE", "knobs")
    assert scene.sync().outcome is Outcome.COMPLETED
    assert scene.stored("activities").keys() == scene.directory.expected().keys()


def test_leaked_content_fails_the_sync_and_is_nowhere_in_the_database(scene: Scene) -> None:
    scene.accept()
    scene.allow(scene.directory.allowed)
    scene.directory.break_("leak_body", after=6, fields=["subject", "bodyPreview", "body", "attachments"])
    outcome = scene.sync()
    assert outcome.outcome is Outcome.FAILED
    assert "privacy" in str(outcome.failed_streams) + outcome.error_code or "not asked for" in str(
        outcome.failed_streams
    )
    with scene.database.tenant(scene.tenant) as handle:
        tables = ("activities", "raw.o365_email_metadata", "dead_letters", "sync_logs", "stream_cursors", "connectors")
        text = "".join(str(rows(handle, f"SELECT to_jsonb(t) AS row FROM {table} t")) for table in tables)
    for secret in ("secret number", "Quick question", "Agenda for", "Invoice 4711", "offer.pdf"):
        assert secret not in text
