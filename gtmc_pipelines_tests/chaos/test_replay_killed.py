"""kill -9 of the worker in the middle of a replay: each letter is tried once, and all are."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.dead_letters import NewLetter, upsert_letters
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import row
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.chaos.test_worker_killed import Machine, _log, _until, machine

__all__ = ["machine"]
pytestmark = [pytest.mark.services, pytest.mark.chaos]

LETTERS = 20_000
KILL_AFTER = 5_000
STAMP = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_replay_whose_worker_was_killed_tries_every_letter_once(
    machine: Machine, database: Database, tenant: str
) -> None:
    values: dict[str, Any] = dict(machine.environment)
    settings = Settings(**values)
    connector = add_connector(database, tenant, "salesforce")
    letters = []
    for number in range(LETTERS):
        name = b'"Lee"' if number % 2 else b'["no name"]'
        record = SourceRecord(f"003{number:06}", b'{"LastName": %s}' % name, STAMP)
        letters.append(NewLetter(record.external_id, "write", "batch_failed", "").keeping(record))
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, connector.id, ConnectorStatus.CONNECTED)
        upsert_letters(handle, tenant, connector.id, "contacts", letters)
    with SyncClient.open(settings) as client:
        with machine.worker("first") as worker:
            started = client.replay(SyncRequest(tenant, connector.id, ConnectorType.SALESFORCE), datetime.now(UTC))
            _until(lambda: _log(database, tenant).counts.read > KILL_AFTER, 90)
            os.kill(worker.pid, signal.SIGKILL)
        assert _log(database, tenant).counts.read < LETTERS, "it was killed in the middle"
        with machine.worker("second"):
            outcome = client.outcome(started)
    assert outcome.is_success
    assert (outcome.totals.read, outcome.totals.is_balanced) == (LETTERS, True)
    with database.tenant(tenant) as db:
        told = row(
            db,
            "SELECT count(*) FILTER (WHERE resolution = 'written' AND attempts = 1) AS written,"
            " count(*) FILTER (WHERE replayed_at IS NULL AND attempts = 2) AS failed_again,"
            " (SELECT count(*) FROM people) AS people FROM dead_letters",
        )
    assert told == {
        "written": outcome.totals.created,
        "failed_again": outcome.totals.failed,
        "people": outcome.totals.created,
    }
