"""After a full read, what the vendor no longer has is swept away, wherever segments and syncs were cut."""

from __future__ import annotations

from typing import Any

import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Defer, Retry
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.storage.canonical_rows import live_rows
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.workflows.activities.sweeping import DeletionSweep
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import STAMP, people

pytestmark = pytest.mark.services
PEOPLE = 40
GONE = 3


def _live(stage: Stage) -> set[str]:
    return set(live_rows(stage.database, stage.tenant, "people", ConnectorType.CUSTOMERIO, ["last_name"]))


def test_a_full_read_sweeps_what_the_vendor_no_longer_has(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.CUSTOMERIO) as stage:
        stage.connector.script = {"people": [people(PEOPLE)]}
        stage.sync(SyncMode.FULL)
        stage.connector.script = {"people": [people(PEOPLE - GONE)]}
        outcome = stage.sync(SyncMode.FULL)
        assert outcome.totals.deleted == GONE
        assert outcome.totals.is_balanced
        assert len(_live(stage)) == PEOPLE - GONE
        assert stage.sync(SyncMode.FULL).totals.deleted == 0


def test_a_segment_that_ends_with_the_last_page_sweeps_all_the_same(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.CUSTOMERIO, segment_records=1) as stage:
        stage.connector.script = {"people": [people(PEOPLE)]}
        stage.sync(SyncMode.FULL)
        stage.connector.script = {"people": [people(PEOPLE - GONE)]}
        assert stage.sync(SyncMode.FULL).totals.deleted == GONE
        assert len(_live(stage)) == PEOPLE - GONE


def test_a_full_read_finished_by_a_later_sync_sweeps_before_it_catches_up(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.CUSTOMERIO) as stage:
        stage.connector.script = {"people": [people(PEOPLE)]}
        stage.sync(SyncMode.FULL)
        quota = Defer("api_quota", "No calls are left.", until=STAMP)
        stage.connector.script = {"people": [people(20), quota, people(PEOPLE - GONE - 20, 20)]}
        assert stage.sync(SyncMode.FULL).outcome is Outcome.DEFERRED
        outcome = stage.sync()
        assert outcome.outcome is Outcome.COMPLETED, outcome
        assert outcome.totals.deleted == GONE
        assert len(_live(stage)) == PEOPLE - GONE


def test_a_sweep_that_a_dying_worker_left_is_done_at_the_streams_end(make_stage: Any, monkeypatch: Any) -> None:
    with make_stage(kind=ConnectorType.CUSTOMERIO) as stage:
        stage.connector.script = {"people": [people(PEOPLE)]}
        stage.sync(SyncMode.FULL)
        run_sweep, calls = DeletionSweep.run, []

        def dies_first(sweep: DeletionSweep, target: Any, listed: Any) -> Any:
            calls.append(target)
            if len(calls) == 1:
                raise Retry("database_unreachable", "The worker is gone.")
            return run_sweep(sweep, target, listed)

        monkeypatch.setattr(DeletionSweep, "run", dies_first)
        stage.connector.script = {"people": [people(PEOPLE - GONE)]}
        outcome = stage.sync(SyncMode.FULL)
        assert len(calls) > 1
        assert outcome.totals.deleted == GONE
        assert len(_live(stage)) == PEOPLE - GONE


def test_a_sweep_above_the_ceiling_fails_its_stream_and_deletes_nothing(make_stage: Any) -> None:
    with make_stage(kind=ConnectorType.CUSTOMERIO, segment_records=1) as stage:
        stage.connector.script = {"people": [people(PEOPLE)]}
        stage.sync(SyncMode.FULL)
        stage.connector.script = {"people": [people(PEOPLE // 2)]}
        outcome = stage.sync(SyncMode.FULL)
        assert outcome.outcome is Outcome.FAILED
        told = stage.log(outcome.sync_log_id).stream_counts["people"]
        assert "need a confirmation" in str(told["error"])
        assert len(_live(stage)) == PEOPLE
        with stage.database.tenant(stage.tenant) as handle:
            assert run(handle, "SELECT FROM people WHERE deleted_at IS NOT NULL") == 0
