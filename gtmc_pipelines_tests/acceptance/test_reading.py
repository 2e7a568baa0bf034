"""What a tenant's tables hold after a sync is what the vendor holds: at first, after changes, and resumed anywhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from gtmc_pipelines.model.catalog import DeleteDetection
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.workflows.activities import reading
from gtmc_pipelines_tests.acceptance.cases import each_subject, each_way
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Change, Exempt, Late, Subject

pytestmark = pytest.mark.services


@each_subject
def test_a_probe_with_working_credentials_is_healthy_and_cheap(stage: Stage, subject: Subject) -> None:
    before = stage.site.last_seq
    health = stage.health()
    assert health.is_healthy, health.detail
    assert health.url.startswith(stage.site.base)
    assert 1 <= len(stage.site.journal(before)) <= 2


@each_way
def test_a_first_sync_is_a_full_one_and_equals_the_vendors_truth(
    make_stage: MakeStage, subject: Subject, options: Mapping[str, Any]
) -> None:
    stage = make_stage(dict(options))
    outcome = stage.completed()
    assert outcome.mode is SyncMode.FULL
    assert set(outcome.counts) == {case.name for case in subject.streams}
    assert outcome.totals.created > 0
    assert outcome.totals.failed == 0
    stage.assert_true()
    assert not stage.letters
    assert all(state.watermark for state in stage.states.values())


@each_subject
def test_an_incremental_sync_without_changes_writes_nothing(stage: Stage, subject: Subject) -> None:
    stage.completed()
    before = stage.versions()
    outcome = stage.completed()
    assert outcome.mode is SyncMode.INCREMENTAL
    assert outcome.totals.changed == 0
    assert outcome.totals.failed == 0
    assert stage.versions() == before, "a row was written again although nothing had changed"


@each_subject
def test_a_second_full_sync_without_changes_writes_nothing(stage: Stage, subject: Subject) -> None:
    stage.completed()
    before = stage.versions()
    outcome = stage.completed(SyncMode.FULL)
    assert outcome.mode is SyncMode.FULL
    assert outcome.totals.changed == 0
    assert stage.versions() == before


@each_subject
def test_an_incremental_sync_brings_what_changed(stage: Stage, subject: Subject) -> None:
    stage.completed()
    stage.mutate(*(change for case in subject.streams for change in case.changes))
    outcome = stage.completed()
    assert outcome.mode is SyncMode.INCREMENTAL
    for case in subject.streams:
        assert Counts.of(outcome.counts[case.name]).changed > 0, f"no change of {case.name} arrived"
    stage.assert_true()


@each_subject
def test_records_that_appear_late_arrive_all_the_same(stage: Stage, subject: Subject) -> None:
    stage.completed()
    assert stage.until is not None
    late = {case.name: _happened(stage, case.late, stage.until) for case in subject.streams}
    outcome = stage.completed()
    for name, count in late.items():
        assert Counts.of(outcome.counts[name]).changed >= count, f"late records of {name} are missing"
    stage.assert_true()


def _happened(stage: Stage, late: Late | Exempt, watermark: datetime) -> int:
    if isinstance(late, Exempt):
        return 0
    return stage.mutate(late.change, stamp=watermark - late.age)


@each_subject
def test_deleted_records_go_by_the_feed_or_with_the_next_full_sync(stage: Stage, subject: Subject) -> None:
    stage.completed()
    told = {case.name: case.delete for case in subject.streams if isinstance(case.delete, Change)}
    gone = {name: stage.mutate(change) for name, change in told.items()}
    by_feed = stage.completed()
    by_sweep = stage.completed(SyncMode.FULL)
    for case in subject.streams:
        way = by_feed if subject.stream(case).deletes is DeleteDetection.FEED else by_sweep
        assert Counts.of(way.counts[case.name]).deleted == gone.get(case.name, 0), case.name
    stage.assert_true()
    before = stage.versions()
    assert stage.completed(SyncMode.FULL).totals.deleted == 0
    assert stage.versions() == before, "a deletion was written twice"


@each_way
def test_resuming_from_each_checkpoint_gives_what_an_uninterrupted_sync_gives(
    make_stage: MakeStage, subject: Subject, options: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_stage(dict(options))
    whole.completed()
    pieces = make_stage(dict(options), GTMC_SEGMENT_RECORDS=1)
    monkeypatch.setattr(reading, "coalesce", iter)  # each page a batch, and a segment of its own
    outcome = pieces.completed()
    assert pieces.segments > len(subject.streams) + len(subject.probed), "each stream needs several pages"
    assert outcome.totals.created == outcome.totals.read - outcome.totals.skipped - outcome.totals.deleted
    assert pieces.contents() == whole.contents()
