"""A sync from start to closed books, on a real Temporal and a real PostgreSQL, with a scripted vendor."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import Broken, Defer, Misuse, Reauthorize, Retry
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines_tests.workflows.conftest import Stage, history_of
from gtmc_pipelines_tests.workflows.scripted import CANARY_EMAIL, CANARY_TOKEN, Gate, people

pytestmark = pytest.mark.services


def test_a_sync_writes_every_record_and_closes_its_books(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(300), people(200, 300)], "leads": [people(10, 9000)]}
    outcome = stage.sync()
    assert outcome.outcome is Outcome.COMPLETED, outcome
    assert outcome.mode is SyncMode.FULL, "the first sync reads everything"
    assert outcome.totals.created == 510
    assert outcome.totals.is_balanced
    assert len(stage.ids()) == 510
    log = stage.log(outcome.sync_log_id)
    assert (log.outcome, log.phase, log.counts.read) == ("completed", "complete", 510)
    assert stage.status is ConnectorStatus.CONNECTED
    assert stage.now.last_sync_at is not None
    assert stage.lease is None


def test_a_sync_without_changes_takes_three_activities(stage: Stage) -> None:
    stage.sync()
    handle = stage.start()
    assert stage.client.outcome(handle).mode is SyncMode.INCREMENTAL
    history = history_of(stage.settings, handle.workflow_id)
    assert len(re.findall("EVENT_TYPE_ACTIVITY_TASK_SCHEDULED", history)) == 3


def test_the_next_sync_starts_at_the_watermark_of_the_last(stage: Stage) -> None:
    stage.sync()
    first = dict(stage.connector.reads)["contacts"]
    stage.connector.reads.clear()
    stage.sync()
    second = dict(stage.connector.reads)["contacts"]
    assert second.watermark == first.until.isoformat()
    assert second.mode is SyncMode.INCREMENTAL


def test_starting_the_same_moment_again_attaches(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, people(5, 5)]}
    at = datetime.now(UTC)
    first = stage.start(at=at)
    assert gate.reached.wait(20)
    again = stage.start(at=at)
    gate.opened.set()
    assert again.attached
    assert not first.attached
    assert again.workflow_id == first.workflow_id
    assert stage.client.outcome(again).totals.created == 10
    assert stage.start(at=at).attached, "and after it has ended its outcome can still be read"


def test_a_second_sync_of_the_same_connector_gives_way_and_follows_the_first(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, people(5, 5)]}
    first = stage.start()
    assert gate.reached.wait(20)
    second = stage.start(at=datetime.now(UTC) + timedelta(seconds=1))
    notes = []
    for step in stage.client.follow(second, 0.1):
        notes.append(step)
        if step.workflow_id == first.workflow_id:
            gate.opened.set()
    assert notes[-1].is_closed
    assert notes[-1].workflow_id == first.workflow_id
    assert any("following" in step.note for step in notes)
    outcome = stage.client.outcome(second)
    assert outcome.held_by == first.workflow_id
    assert outcome.totals.created == 10
    assert len(stage.ids()) == 10


def test_a_stream_that_breaks_does_not_stop_the_others(stage: Stage) -> None:
    stage.connector.script = {
        "contacts": [people(5), Broken("bad_page", "The page can't be parsed.", next_step="Report it.")],
        "leads": [people(7, 100)],
    }
    outcome = stage.sync()
    assert outcome.outcome is Outcome.FAILED
    assert outcome.error_code == "streams_failed"
    assert outcome.failed_streams == {"contacts": "The page can't be parsed. Report it."}
    assert len(stage.ids()) == 12, "what was read before the break is kept"
    assert stage.status is ConnectorStatus.ERROR
    assert "contacts" in str(stage.now.last_sync_error)


def test_a_bug_in_a_connector_tells_its_class_and_nothing_else(stage: Stage) -> None:
    stage.connector.script = {"contacts": [KeyError(f"no column for {CANARY_EMAIL}")]}
    handle = stage.start()
    outcome = stage.client.outcome(handle)
    assert "unexpected KeyError" in outcome.failed_streams["contacts"]
    assert CANARY_EMAIL not in str(outcome)


def test_a_transient_fault_is_retried_at_the_checkpoint(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5), Retry("busy", "Busy.", after_seconds=0.05), people(5, 5)]}
    outcome = stage.sync()
    assert outcome.outcome is Outcome.COMPLETED
    assert outcome.totals.created == 10
    starts = [start.checkpoint for name, start in stage.connector.reads if name == "contacts"]
    assert starts == [None, "1"]


def test_an_expired_grant_ends_the_sync_with_the_next_step(stage: Stage) -> None:
    stage.connector.on_authenticate = Reauthorize("grant_revoked", "The grant was revoked.", next_step="Connect again.")
    outcome = stage.sync()
    assert (outcome.outcome, outcome.error_code) == (Outcome.FAILED, "grant_revoked")
    assert stage.status is ConnectorStatus.ERROR
    assert stage.now.last_sync_error == "The grant was revoked. Connect again."
    assert stage.now.error_kind == "reauthorize"
    assert stage.lease is None


def test_a_deferred_sync_keeps_its_checkpoint_and_the_next_one_goes_on(stage: Stage) -> None:
    until = datetime(2026, 3, 1, 12, tzinfo=UTC)
    stage.connector.script = {
        "contacts": [people(5), Defer("quota", "The daily quota is used up.", until=until), people(5, 5)]
    }
    outcome = stage.sync()
    assert outcome.outcome is Outcome.DEFERRED
    assert outcome.deferred_until == until
    assert "It goes on by itself soon after 2026-03-01 12:00 UTC." in str(stage.now.last_sync_error)
    stage.connector.reads.clear()
    later = stage.sync()
    assert later.outcome is Outcome.COMPLETED
    assert later.mode is SyncMode.FULL, "the rest of a full read is a full read"
    contacts = [start for name, start in stage.connector.reads if name == "contacts"]
    assert contacts[0].checkpoint == "1"
    assert contacts[1].watermark == contacts[0].until.isoformat(), "then it catches up with what changed since"
    assert len(stage.ids()) == 10


def test_a_cancelled_sync_frees_the_connector(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate, people(5, 5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    stage.client.cancel(handle, actor="cli:someone")
    outcome = stage.client.outcome(handle)
    gate.opened.set()
    assert outcome.outcome is Outcome.CANCELLED
    assert stage.status is ConnectorStatus.CONNECTED
    assert stage.lease is None
    assert stage.audited(2) == [("sync.cancel", "cli:someone"), ("sync.start", "worker")]
    stage.connector.script = {"contacts": [people(5), people(5, 5)]}
    assert stage.sync().outcome is Outcome.COMPLETED
    assert len(stage.ids()) == 10


def test_a_cancelled_sync_mends_nothing(stage: Stage) -> None:
    stage.connector.script = {"contacts": [Broken("odd_page", "The page made no sense.")]}
    stage.sync()
    failed = stage.now
    gate = Gate()
    stage.connector.script = {"contacts": [people(5), gate]}
    handle = stage.start()
    assert gate.reached.wait(20)
    stage.client.cancel(handle, actor="cli:someone")
    assert stage.client.outcome(handle).outcome is Outcome.CANCELLED
    gate.opened.set()
    now = stage.now
    assert now.status is ConnectorStatus.ERROR
    assert (now.error_code, now.last_sync_error) == (failed.error_code, failed.last_sync_error)


def test_a_cancel_from_outside_is_temporals_whatever_reason_was_typed_there(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    asyncio.run(_cancel_in_temporal(stage, handle.workflow_id, f"asked by {CANARY_EMAIL}"))
    assert stage.client.outcome(handle).outcome is Outcome.CANCELLED
    gate.opened.set()
    assert stage.audited(1) == [("sync.cancel", "temporal")]


async def _cancel_in_temporal(stage: Stage, workflow_id: str, reason: str) -> None:
    client = await connect(stage.settings.required("temporal_address"), stage.settings.temporal_namespace)
    await client.get_workflow_handle(workflow_id).cancel(reason=reason)


def test_a_sync_cancelled_before_it_began_leaves_nothing_behind(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5)]}
    for number in range(5):
        handle = stage.start(at=datetime.now(UTC) + timedelta(seconds=number))
        stage.client.cancel(handle, actor="cli:someone")
        assert stage.client.outcome(handle).outcome in (Outcome.CANCELLED, Outcome.COMPLETED)
        assert stage.status is ConnectorStatus.CONNECTED
        assert stage.lease is None


def test_a_wrong_connector_type_is_refused(stage: Stage) -> None:
    request = replace(stage.request(), connector_type=ConnectorType.FATHOM)
    outcome = stage.client.outcome(stage.client.start(request, datetime.now(UTC)))
    assert outcome.error_code == "wrong_connector_type"


def test_office_365_without_an_accepted_agreement_is_not_even_looked_at(stage: Stage) -> None:
    request = replace(stage.request(), connector_type=ConnectorType.O365)
    outcome = stage.client.outcome(stage.client.start(request, datetime.now(UTC)))
    assert outcome.error_code == "dpa_not_accepted"
    assert stage.connector.reads == []


def test_an_unreachable_temporal_is_one_sentence(stage: Stage) -> None:
    settings = stage.settings.model_copy(update={"temporal_address": "127.0.0.1:1"})
    with pytest.raises(Misuse, match="can't be reached"), SyncClient.open(settings):
        pass


def test_a_long_sync_continues_as_new_with_the_same_books(make_stage: Any) -> None:
    with make_stage(segment_records=100) as stage:
        stage.connector.script = {"contacts": [people(2000, start) for start in range(0, 10_000, 2000)]}
        handle = stage.start(segments_per_run=2)
        outcome = stage.client.outcome(handle)
        assert outcome.outcome is Outcome.COMPLETED
        assert outcome.totals.created == 10_000
        assert len(stage.ids()) == 10_000
        history = json.loads(history_of(stage.settings, handle.workflow_id))
        started = history["events"][0]["workflowExecutionStartedEventAttributes"]
        assert started["continuedExecutionRunId"]
        assert started["firstExecutionRunId"] == handle.run_id


def test_neither_secrets_nor_people_get_into_a_history(stage: Stage) -> None:
    stage.connector.script = {
        "contacts": [people(50), Retry("busy", "Busy.", after_seconds=0.05), people(50, 50)],
        "leads": [ValueError(CANARY_EMAIL)],
    }
    handle = stage.start()
    stage.client.outcome(handle)
    history = history_of(stage.settings, handle.workflow_id)
    payloads = [base64.b64decode(text).decode("utf-8", "replace") for text in re.findall(r'"data": "([^"]+)"', history)]
    everything = history + "".join(payloads)
    assert payloads
    for canary in (CANARY_EMAIL, CANARY_TOKEN, "Person 1", "P000001"):
        assert canary not in everything


def test_an_unknown_connector_fails_with_a_sentence(stage: Stage) -> None:
    request = replace(stage.request(), connector_id="3f0b")
    outcome = stage.client.outcome(stage.client.start(request, datetime.now(UTC)))
    assert (outcome.outcome, outcome.error_code) == (Outcome.FAILED, "unknown_connector")


def test_an_unknown_stream_fails_with_the_list_of_streams(stage: Stage) -> None:
    outcome = stage.sync(streams=("kontakte",))
    assert outcome.error_code == "unknown_stream"
    assert "contacts" in outcome.next_step
    assert stage.lease is None


def test_only_the_wanted_streams_are_read(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5)], "leads": [people(5, 100)]}
    outcome = stage.sync(streams=("leads",))
    assert list(outcome.counts) == ["leads"]
    assert len(stage.ids()) == 5


def test_a_disconnected_connector_asks_to_be_connected(stage: Stage) -> None:
    from gtmc_pipelines.storage.connector_states import disconnect

    disconnect(stage.database, stage.tenant, stage.row.id)
    outcome = stage.sync()
    assert outcome.error_code == "not_connected"
    assert stage.status is ConnectorStatus.DISCONNECTED


def test_without_a_worker_the_caller_is_told_before_anything_starts(make_stage: Any) -> None:
    with make_stage(with_worker=False) as stage, pytest.raises(Misuse, match="No worker is polling"):
        stage.client.require_workers()


def test_a_polling_worker_is_seen(stage: Stage) -> None:
    stage.sync()
    stage.client.require_workers()
    assert stage.client.worker_pollers()[0].is_fresh
