"""Dead letters tried again by people and by the next sync: once each, without the vendor, one writer at a time."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage import tombstones
from gtmc_pipelines.storage.dead_letters import DeadLetter, NewLetter, list_letters, upsert_letters
from gtmc_pipelines.storage.letter_replay import Waiting, waiting_records
from gtmc_pipelines.storage.mappings import reset_mapping, save_mapping
from gtmc_pipelines.storage.o365 import accept_dpa, withdraw_dpa
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines.workflows.activities import replay
from gtmc_pipelines.workflows.client import SyncHandle
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.inputs import SyncOutcome
from gtmc_pipelines_tests.workflows.conftest import Stage, history_of, running_worker
from gtmc_pipelines_tests.workflows.scripted import CANARY_EMAIL, STAMP, Gate, ScriptedConnector, people

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def scripted_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default mappings of the scripted connector here too; it can't be read from."""
    monkeypatch.setattr(replay, "connector_of", lambda kind: ScriptedConnector())


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "waiting_records", lambda *named: waiting_records(*named, limit=2))


def start(stage: Stage, **more: Any) -> SyncHandle:
    return stage.client.replay(stage.request(requested_by="cli:ann", **more), datetime.now(UTC))


def again(stage: Stage, **more: Any) -> SyncOutcome:
    return stage.client.outcome(start(stage, **more))


def strict(stage: Stage, entity: Entity = Entity.PERSON) -> None:
    """A mapping that refuses every record."""
    entries = {
        Entity.PERSON: [MappingEntry("Missing", "email", required=True)],
        Entity.ACTIVITY: [
            MappingEntry("Missing", "type", required=True),
            MappingEntry("Name", "channel"),
            MappingEntry("At", "occurredAt"),
        ],
    }[entity]
    save_mapping(stage.database, stage.tenant, stage.row.id, entity, [entry.as_dict() for entry in entries])


def corrected(stage: Stage, entity: Entity = Entity.PERSON) -> None:
    """Back to the mapping that takes them."""
    reset_mapping(stage.database, stage.tenant, stage.row.id, entity)


def rejected(stage: Stage, count: int = 5, stream: str = "contacts") -> None:
    """A sync whose records all become letters; the vendor has nothing new from then on."""
    strict(stage)
    stage.connector.script = {stream: [people(count)]}
    assert stage.sync().totals.failed == count
    stage.connector.script = {}
    stage.connector.reads.clear()


def letters(stage: Stage, *, only_open: bool = True) -> list[DeadLetter]:
    return list_letters(stage.database, stage.tenant, only_open=only_open)


def keep(stage: Stage, *records: SourceRecord) -> None:
    """Letters of a batch that was given up, with its records in them."""
    kept = [NewLetter(each.external_id, "write", "batch_failed", "refused").keeping(each) for each in records]
    with stage.database.tenant(stage.tenant) as handle:
        upsert_letters(handle, stage.tenant, stage.row.id, "contacts", kept, batch_id=1)


def held_at(monkeypatch: pytest.MonkeyPatch, page: int) -> Gate:
    """The gate before the page with this number (from 1) of letters."""
    gate, asked = Gate(), []

    def waiting(*named: Any) -> Waiting:
        asked.append(named)
        if len(asked) == page:
            gate()
        return waiting_records(*named, limit=2)

    monkeypatch.setattr(replay, "waiting_records", waiting)
    return gate


def test_a_corrected_mapping_writes_the_rows_and_closes_the_letters_without_the_vendor(stage: Stage) -> None:
    rejected(stage)
    corrected(stage)
    outcome = again(stage)
    assert outcome.is_success, outcome
    assert outcome.counts == {"contacts": {**outcome.totals.as_dict()}}
    assert (outcome.totals.read, outcome.totals.created, outcome.totals.is_balanced) == (5, 5, True)
    assert stage.ids() == [f"P00000{n}" for n in range(5)]
    assert stage.connector.reads == []
    assert letters(stage) == []
    assert {(each.resolution, each.attempts) for each in letters(stage, only_open=False)} == {("written", 1)}
    log = stage.log(outcome.sync_log_id)
    assert (log.trigger, log.sync_type, log.requested_by, log.outcome) == (
        "replay",
        "incremental",
        "cli:ann",
        "completed",
    )
    assert stage.audited(1) == [("sync.start", "cli:ann")]
    assert (stage.status, stage.lease) == (ConnectorStatus.CONNECTED, None)


def test_what_still_fails_is_counted_up_with_its_new_reason(stage: Stage) -> None:
    rejected(stage, 3)
    save_mapping(
        stage.database,
        stage.tenant,
        stage.row.id,
        Entity.PERSON,
        [MappingEntry("Other", "title", required=True).as_dict()],
    )
    outcome = again(stage)
    assert outcome.is_success
    assert (outcome.totals.read, outcome.totals.failed) == (3, 3)
    found = letters(stage)
    assert {(each.attempts, each.detail, each.sync_log_id) for each in found} == {
        (2, "field Other", outcome.sync_log_id)
    }


def test_the_next_sync_tries_letters_again_once_and_counts_those_it_could_write(
    stage: Stage, small_pages: None
) -> None:
    rejected(stage, 5)
    still = stage.sync()
    assert (still.totals.read, still.totals.failed) == (0, 0), (
        "its failures are on the sheet of the sync that read them"
    )
    assert {each.attempts for each in letters(stage)} == {2}
    corrected(stage)
    outcome = stage.sync()
    assert outcome.is_success
    assert (outcome.totals.read, outcome.totals.created, outcome.totals.is_balanced) == (5, 5, True)
    assert stage.log(outcome.sync_log_id).counts == outcome.totals
    assert letters(stage) == []
    assert stage.sync().totals.read == 0


def test_a_sync_does_not_try_again_what_it_has_just_read(stage: Stage) -> None:
    strict(stage)
    for attempts in (1, 2, 3):
        stage.connector.script = {"contacts": [people(3)]}
        assert stage.sync(SyncMode.FULL).totals.failed == 3
        assert {each.attempts for each in letters(stage)} == {attempts}


def test_a_sync_tries_a_bounded_number_and_those_that_waited_longest(
    stage: Stage, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "MOST_OF_A_SYNC", 3)
    rejected(stage, 6)
    corrected(stage)
    assert stage.sync().totals.created == 4
    assert stage.sync().totals.created == 2


def test_a_full_read_settles_letters_of_records_without_an_id_from_before_it(stage: Stage) -> None:
    nameless = SourceRecord("", b'{"Name": "Lee"}', STAMP)
    stage.connector.script = {"contacts": [[nameless, *people(1)]]}
    assert stage.sync(SyncMode.FULL).totals.failed == 1
    (first,) = letters(stage)
    with stage.database.tenant(stage.tenant) as handle:
        run(handle, "UPDATE dead_letters SET last_seen_at = now() - interval '1 hour'")
    stage.connector.script = {}
    stage.sync()
    assert [each.id for each in letters(stage)] == [first.id], "an incremental read has not met it again"
    stage.connector.script = {"contacts": [[nameless, *people(1)]]}
    stage.sync(SyncMode.FULL)
    (second,) = letters(stage)
    assert second.id != first.id
    assert {each.resolution for each in letters(stage, only_open=False)} == {None, "superseded"}


def test_records_of_a_batch_that_was_given_up_are_written_and_older_ones_are_not(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(2)]}
    stage.sync()
    newer, older = (
        replace(people(1, n)[0], payload=b'{"Name": "Other"}', source_updated_at=STAMP.replace(year=year))
        for n, year in ((0, 2027), (1, 2025))
    )
    keep(stage, newer, older)
    with stage.database.tenant(stage.tenant) as handle:
        run(handle, "UPDATE dead_letters SET batch_id = nextval('batch_ids')")
    outcome = again(stage)
    assert (outcome.totals.updated, outcome.totals.skipped) == (1, 1)
    with stage.database.tenant(stage.tenant) as handle:
        names = rows(handle, "SELECT last_name FROM people ORDER BY external_id")
    assert [each["last_name"] for each in names] == ["Other", "Person 1"]
    assert {each.resolution for each in letters(stage, only_open=False)} == {"written", "superseded"}


def test_an_erased_person_does_not_come_back_from_a_letter(stage: Stage) -> None:
    gone = SourceRecord("P1", json.dumps({"Name": "Ann", "Email": "ann@people.test"}).encode(), STAMP)
    beside = SourceRecord("P2", json.dumps({"Name": "Bo of ann@people.test", "Email": "b@b.test"}).encode(), STAMP)
    with stage.database.tenant(stage.tenant) as handle:
        tombstones.add(handle, key_ring(stage.settings), stage.tenant, "ann@people.test", {}, actor="test")
    keep(stage, gone, beside)
    outcome = again(stage)
    assert (outcome.totals.read, outcome.totals.created, outcome.totals.skipped) == (2, 1, 1)
    with stage.database.tenant(stage.tenant) as handle:
        stored = rows(handle, "SELECT r.payload::text, p.last_name FROM raw.salesforce_contacts r, people p")
    assert len(stored) == 1
    assert "ann@people.test" not in str(stored)
    assert [each.external_id for each in letters(stage, only_open=False)] == ["P2"]


def test_without_the_agreement_no_letter_of_a_mailbox_is_tried(
    make_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_stage(kind=ConnectorType.O365) as stage:
        _accept(stage)
        strict(stage, Entity.ACTIVITY)
        stage.connector.script = {"email_metadata": [_messages(4)]}
        assert stage.sync().totals.failed == 4
        corrected(stage, Entity.ACTIVITY)
        withdraw_dpa(stage.database, stage.tenant, actor="test", at=datetime.now(UTC))
        refused = again(stage)
        assert (refused.outcome, refused.error_code) == (Outcome.FAILED, "dpa_not_accepted")
        assert stage.ids("activities") == []
        assert {each.attempts for each in letters(stage)} == {1}
        _accept(stage)
        gate = held_at(monkeypatch, 2)
        handle = start(stage)
        assert gate.reached.wait(20)
        withdraw_dpa(stage.database, stage.tenant, actor="test", at=datetime.now(UTC))
        gate.opened.set()
        assert stage.client.outcome(handle).error_code == "dpa_not_accepted"
        assert len(stage.ids("activities")) == 2, "what was tried before the withdrawal"
        assert stage.lease is None


def _accept(stage: Stage) -> None:
    accept_dpa(stage.database, stage.tenant, actor="test", dpa_version="1", at=datetime.now(UTC))


def _messages(count: int) -> Sequence[SourceRecord]:
    payload = b'{"Name": "email", "At": "2026-01-01T00:00:00Z"}'
    return [SourceRecord(f"M{n}", payload, STAMP) for n in range(count)]


def test_a_replay_whose_worker_was_stopped_is_finished_by_another_one_and_tries_nothing_twice(
    make_stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_stage(with_worker=False) as stage:
        gate = held_at(monkeypatch, 2)
        with running_worker(stage.settings, stage.database):
            strict(stage)
            stage.connector.script = {"contacts": [people(5)]}
            stage.sync()
            handle = start(stage)
            assert gate.reached.wait(20)
            threading.Timer(0.5, gate.opened.set).start()  # the worker is being stopped by then
        assert {each.attempts for each in letters(stage)} == {1, 2}, "stopped in the middle"
        with running_worker(stage.settings, stage.database):
            outcome = stage.client.outcome(handle)
        assert (outcome.totals.read, outcome.totals.failed) == (5, 5)
        assert {each.attempts for each in letters(stage)} == {2}


def test_a_replay_that_broke_half_way_is_simply_run_again(
    stage: Stage, small_pages: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejected(stage, 5)
    corrected(stage)
    asked = []

    def waiting(*named: Any) -> Waiting:
        asked.append(named)
        if len(asked) == 2:
            raise ArithmeticError("the worker's bug")
        return waiting_records(*named, limit=2)

    monkeypatch.setattr(replay, "waiting_records", waiting)
    broken = again(stage)
    assert (broken.outcome, broken.totals.created) == (Outcome.FAILED, 2)
    assert again(stage).totals.created == 3


def test_two_replays_at_once_try_each_letter_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    rejected(stage, 3)
    gate = held_at(monkeypatch, 2)
    first = start(stage)
    assert gate.reached.wait(20)
    second = start(stage)
    assert stage.client.outcome_within(second, 0.5) is None, "it waits for the one it gave way to"
    gate.opened.set()
    outcomes = [stage.client.outcome(handle) for handle in (first, second)]
    assert [each.held_by for each in outcomes] == ["", first.workflow_id]
    assert {each.attempts for each in letters(stage)} == {2}


def test_a_replay_gives_way_to_a_sync_that_runs(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(2)]}
    sync = stage.start()
    assert gate.reached.wait(20)
    handle = start(stage)
    gate.opened.set()
    assert stage.client.outcome(handle).held_by == sync.workflow_id


def test_only_the_letters_and_streams_named_are_tried(stage: Stage) -> None:
    rejected(stage, 3)
    strict(stage)
    stage.connector.script = {"leads": [people(3, 10)]}
    stage.sync()
    corrected(stage)
    named = [each.id for each in letters(stage) if each.external_id == "P000001"]
    assert again(stage, streams=("contacts",), letters=tuple(named)).totals.created == 1
    assert list(again(stage, streams=("leads",)).counts) == ["leads"]
    assert {each.stream for each in letters(stage)} == {"contacts"}
    assert len(letters(stage)) == 2


def test_a_mapping_that_does_not_compile_fails_the_replay_with_its_remedy(stage: Stage) -> None:
    rejected(stage, 2)
    entry = {"sourceField": "Name", "targetField": "lastName", "transform": "sideways"}
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, [entry])
    outcome = again(stage)
    assert (outcome.outcome, outcome.error_code) == (Outcome.FAILED, "bad_saved_mapping")
    assert "gtmc mappings set" in outcome.next_step
    assert {each.attempts for each in letters(stage)} == {1}


def test_a_history_holds_ids_of_letters_and_no_record(stage: Stage) -> None:
    rejected(stage, 3)
    handle = start(stage, letters=tuple(each.id for each in letters(stage)))
    assert stage.client.outcome(handle).totals.failed == 3
    history = history_of(stage.settings, handle.workflow_id)
    assert CANARY_EMAIL not in history
    assert "P000001" not in history
