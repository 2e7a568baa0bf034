"""A full sync leaves nothing live that the vendor no longer has, and takes nothing away that it has."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from gtmc_pipelines.model.catalog import DeleteDetection
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.workflows.activities import reading
from gtmc_pipelines_tests.acceptance.cases import each_subject
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Change, Subject

pytestmark = pytest.mark.services


def deletions(subject: Subject) -> dict[str, Change]:
    """The change that deletes records of each stream whose deletions the vendor's answer can show."""
    return {case.name: case.delete for case in subject.streams if isinstance(case.delete, Change)}


@each_subject
def test_what_was_deleted_before_a_full_sync_is_gone_after_it(stage: Stage, subject: Subject) -> None:
    """Without an incremental in between that could have heard of it: the full sync drops the vendor's token."""
    stage.completed()
    gone = {name: stage.mutate(change) for name, change in deletions(subject).items()}
    outcome = stage.completed(SyncMode.FULL)
    for name, count in gone.items():
        assert Counts.of(outcome.counts[name]).deleted == count, name
    stage.assert_true()
    assert stage.completed().totals.deleted == 0
    assert stage.completed(SyncMode.FULL).totals.deleted == 0


@each_subject
def test_what_is_deleted_during_a_full_sync_is_gone_after_the_next(
    make_stage: MakeStage, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else: records move to pages that were read already when one before them goes."""
    stage = make_stage()
    stage.completed()
    wishes = [Change(change.object, change.action, 1, change.fields) for change in deletions(subject).values()]

    def page_by_page(pages: Iterator[Any]) -> Iterator[Any]:
        for page in pages:
            yield page
            if wishes:
                stage.mutate(wishes.pop())

    monkeypatch.setattr(reading, "coalesce", page_by_page)
    stage.completed(SyncMode.FULL)
    monkeypatch.undo()
    before = stage.verdict().differences
    assert all(one.endswith("not at the vendor") for one in before), before
    stage.completed()
    stage.completed(SyncMode.FULL)
    stage.assert_true()


@each_subject
def test_a_full_sync_cut_in_the_middle_and_resumed_finds_what_is_gone(
    stage: Stage, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.completed()
    for change in deletions(subject).values():
        stage.mutate(change)
    monkeypatch.setattr(reading, "coalesce", iter)
    case = subject.probed[0]
    stage.site.break_(case.endpoint, fault="server_error", after=1)
    assert stage.sync(SyncMode.FULL).outcome is Outcome.FAILED
    stage.site.mend()
    outcome = stage.completed()
    assert outcome.mode is SyncMode.FULL
    stage.assert_true()
    assert stage.completed(SyncMode.FULL).totals.deleted == 0


@each_subject
def test_a_full_sync_of_one_stream_sweeps_that_stream_alone(stage: Stage, subject: Subject) -> None:
    told = deletions(subject)
    stage.completed()
    for change in told.values():
        stage.mutate(change)
    chosen = next(iter(told))
    before = _marked(stage, subject)
    outcome = stage.completed(SyncMode.FULL, (chosen,))
    assert set(outcome.counts) == {chosen}
    wanted = before[chosen] + told[chosen].count
    assert _marked(stage, subject) == before | {chosen: wanted}


@each_subject
def test_a_full_read_of_less_than_is_stored_leaves_the_older_alone(make_stage: MakeStage, subject: Subject) -> None:
    """Rows from before the window of a read, and rows of logs, are never swept."""
    stage = make_stage()
    stage.completed()
    for case in subject.streams:
        stream = subject.stream(case)
        _insert_old(stage, stream.raw_table, case.name)
    stage.completed(SyncMode.FULL)
    for case in subject.streams:
        stream = subject.stream(case)
        is_swept = stream.deletes is not DeleteDetection.NONE and not stream.is_sliced
        (old,) = stage.select(f"SELECT deleted FROM {stream.raw_table} WHERE external_id = 'old-one'")
        assert old["deleted"] is is_swept, f"{case.name}: only a read that goes back for ever may sweep it"


@each_subject
def test_what_was_lost_for_ever_is_found_by_the_daily_comparison(stage: Stage, subject: Subject) -> None:
    """Whoever lost it: here a row that calls itself deleted. Looking changes nothing."""
    told = deletions(subject)
    stage.mutate(*(change for case in subject.streams for change in case.changes))
    stage.completed()
    first = stage.comparisons()
    assert set(first) >= set(told)
    for name, one in first.items():
        assert (one.problem, one.lost, one.extra) == (None, 0, 0), name
        assert one.vendor, f"{name}: nothing was compared"
    with stage.database.tenant(stage.tenant) as handle:
        for case in subject.streams:
            if case.name in told:
                assert run(handle, _LOSE.format(raw=subject.stream(case).raw_table)) > 0
        run(handle, "UPDATE vendor_comparisons SET compared_at = compared_at - interval '2 days'")
    before = stage.versions()
    stage.completed()
    assert stage.versions() == before
    assert {name: stage.comparisons()[name].lost for name in told} == dict.fromkeys(told, 1)


_LOSE = """
UPDATE {raw} SET deleted = true WHERE external_id IN (
  SELECT DISTINCT ON (slice) external_id FROM {raw} WHERE NOT deleted
   ORDER BY slice, coalesce(source_updated_at::text, payload ->> 'created_at', external_id) DESC)
"""


def _marked(stage: Stage, subject: Subject) -> dict[str, int]:
    """How many records of each stream are marked as deleted."""
    count = "SELECT count(*) AS number FROM {raw} WHERE deleted"
    return {
        case.name: stage.select(count.format(raw=subject.stream(case).raw_table))[0]["number"]
        for case in subject.streams
    }


def _insert_old(stage: Stage, table: str, name: str) -> None:
    """A row as an earlier version had landed it: of no known slice, and two years old."""
    with stage.database.tenant(stage.tenant) as handle:
        run(
            handle,
            f"INSERT INTO {table} (tenant_id, external_id, payload, content_hash, source_updated_at, batch_id)"
            " SELECT tenant_id, 'old-one', payload, '', source_updated_at - %(age)s, 1"
            f" FROM {table} WHERE NOT deleted LIMIT 1",
            {"age": timedelta(days=730)},
        )
