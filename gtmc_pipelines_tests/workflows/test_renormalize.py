"""Canonical rows made again from raw ones: by the mapping of today, without the vendor, excluding a sync."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.renormalize import raw_page
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines.workflows.activities import renormalize
from gtmc_pipelines.workflows.inputs import SyncOutcome
from gtmc_pipelines_tests.workflows.conftest import Stage, history_of
from gtmc_pipelines_tests.workflows.scripted import CANARY_EMAIL, Gate, ScriptedConnector, people

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def scripted_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default mappings of the scripted connector here too; it can't be read from."""
    monkeypatch.setattr(renormalize, "connector_of", lambda kind: ScriptedConnector())


def again(stage: Stage, **more: Any) -> SyncOutcome:
    return stage.client.outcome(stage.client.renormalize(stage.request(**more), datetime.now(UTC)))


def upper(stage: Stage) -> None:
    """A mapping edit: last names in capitals."""
    entries = [MappingEntry("Name", "lastName", Transform.UPPERCASE), MappingEntry("Email", "email")]
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, [entry.as_dict() for entry in entries])


def table(stage: Stage) -> Mapping[str, Any]:
    with stage.database.tenant(stage.tenant) as handle:
        return {r["external_id"]: r for r in rows(handle, "SELECT *, xmin::text AS version FROM people")}


def test_unchanged_rows_are_not_touched_and_the_vendor_is_not_called(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(20)]}
    stage.sync()
    before = table(stage)
    stage.connector.reads.clear()
    outcome = again(stage)
    assert outcome.is_success, outcome
    assert (outcome.totals.read, outcome.totals.unchanged) == (20, 20)
    assert outcome.totals.is_balanced
    assert stage.connector.reads == []
    assert table(stage) == before


def test_an_edited_mapping_reaches_every_row_and_the_next_sync_has_nothing_to_do(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(20)]}
    stage.sync()
    upper(stage)
    outcome = again(stage)
    assert outcome.totals.updated == 20
    assert {r["last_name"] for r in table(stage).values()} == {f"PERSON {n}" for n in range(20)}
    stage.connector.script = {"contacts": [people(20)]}
    assert stage.sync().totals.unchanged == 20


def test_deleted_records_stay_deleted(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(3)]}
    stage.sync()
    gone = replace(people(1)[0], is_deleted=True)
    stage.connector.script = {"contacts": [[gone]]}
    stage.sync()
    upper(stage)
    outcome = again(stage)
    assert (outcome.totals.updated, outcome.totals.unchanged) == (2, 1)
    assert [key for key, r in table(stage).items() if r["deleted_at"] is not None] == ["P000000"]


def test_a_record_the_new_mapping_refuses_is_a_dead_letter_and_the_sheet_adds_up(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(3)]}
    stage.sync()
    entries = [MappingEntry("Name", "lastName"), MappingEntry("Missing", "email", required=True)]
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, [entry.as_dict() for entry in entries])
    outcome = again(stage)
    assert (outcome.totals.failed, outcome.totals.is_balanced) == (3, True)
    assert {r["last_name"] for r in table(stage).values()} == {"Person 0", "Person 1", "Person 2"}


def test_what_is_said_about_the_connector_stays_and_the_log_says_what_it_was(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(3)], "leads": [Broken("odd_page", "The page made no sense.")]}
    stage.sync()
    before = stage.now
    assert before.status is ConnectorStatus.ERROR
    outcome = again(stage)
    now = stage.now
    assert (now.status, now.error_code, now.last_sync_at) == (before.status, before.error_code, before.last_sync_at)
    log = stage.log(outcome.sync_log_id)
    assert (log.trigger, log.outcome, log.kind) == ("renormalize", "completed", "renormalize")
    assert log.sync_type == "incremental", "of the documented two: nothing was read anew"
    assert stage.lease is None


def test_it_goes_on_where_a_worker_left_it(make_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renormalize, "PAGE_RECORDS", 10)
    real, pages = raw_page, []

    def page(database: Any, tenant: str, stream: Any, after: str, limit: int = 10) -> Any:
        pages.append((stream.name, after))
        if pages.count(("contacts", "P000019")) == 1 and pages[-1] == ("contacts", "P000019"):
            raise ConnectionError
        return real(database, tenant, stream, after, 10)

    monkeypatch.setattr(renormalize, "raw_page", page)
    with make_stage(segment_records=10) as stage:
        stage.connector.script = {"contacts": [people(35)]}
        stage.sync()
        upper(stage)
        first = again(stage)
        assert not first.is_success
        assert "ConnectionError" in first.error
        done = again(stage)
        assert done.is_success
        assert (done.totals.unchanged, done.totals.updated, done.totals.read) == (20, 15, 35)
        starts = [after for stream, after in pages if stream == "contacts"]
        assert starts.count("P000009") == 2
        assert starts.count("P000029") == 1


def test_a_sync_and_a_renormalisation_exclude_each_other(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(2), gate, people(2, 2)]}
    sync = stage.start()
    assert gate.reached.wait(30)
    handle = stage.client.renormalize(stage.request(), datetime.now(UTC))
    assert stage.client.outcome_within(handle, 0.5) is None, "it waits for the sync it gave way to"
    gate.opened.set()
    assert stage.client.outcome(handle).held_by == sync.workflow_id


def test_a_cancelled_one_closes_its_books(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.connector.script = {"contacts": [people(5)]}
    stage.sync()
    gate, real = Gate(), raw_page

    def page(*arguments: Any) -> Any:
        gate()
        return real(*arguments)

    monkeypatch.setattr(renormalize, "raw_page", page)
    handle = stage.client.renormalize(stage.request(), datetime.now(UTC))
    assert gate.reached.wait(30)
    stage.client.cancel(handle, actor="cli:someone")
    gate.opened.set()
    assert stage.client.outcome(handle).outcome is Outcome.CANCELLED
    assert stage.audited(1) == [("sync.cancel", "cli:someone")]
    assert (stage.status, stage.lease) == (ConnectorStatus.CONNECTED, None)


def test_one_that_is_cancelled_while_it_opens_closes_its_books(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, real = Gate(), renormalize.require_consent

    def consent(*arguments: Any) -> None:
        gate()
        real(*arguments)

    monkeypatch.setattr(renormalize, "require_consent", consent)
    handle = stage.client.renormalize(stage.request(), datetime.now(UTC))
    assert gate.reached.wait(30)
    stage.client.cancel(handle, actor="cli:someone")
    assert stage.client.outcome_within(handle, 1) is None, "it waits for what is about to take the lease"
    gate.opened.set()
    assert stage.client.outcome(handle).outcome is Outcome.CANCELLED
    assert stage.audited(1) == [("sync.cancel", "cli:someone")]
    assert stage.log(handle.workflow_id).outcome == "cancelled"
    assert (stage.status, stage.lease) == (ConnectorStatus.CONNECTED, None)


def test_histories_hold_no_record(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5)]}
    stage.sync()
    handle = stage.client.renormalize(stage.request(), datetime.now(UTC))
    assert stage.client.outcome(handle).is_success
    assert CANARY_EMAIL not in history_of(stage.settings, handle.workflow_id)


def test_a_disconnected_connector_can_be_made_again(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5)]}
    stage.sync()
    with stage.database.tenant(stage.tenant) as handle:
        run(handle, "UPDATE connectors SET status = 'disconnected'")
    assert again(stage).totals.unchanged == 5
    assert stage.status is ConnectorStatus.DISCONNECTED
