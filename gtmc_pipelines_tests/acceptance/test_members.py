"""A member of a group that fails, or a stream that is refused, holds up none of the others, at every vendor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines.defs.checks.evidence import Evidence
from gtmc_pipelines.defs.checks.members import LEFT_OUT_SYNCS
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.storage.sync_history import require_sync
from gtmc_pipelines.workflows.activities import sync_segment
from gtmc_pipelines.workflows.activities.reading import StreamEnd
from gtmc_pipelines.workflows.activities.slices import SliceEnd
from gtmc_pipelines.workflows.inputs import SyncOutcome
from gtmc_pipelines_tests.acceptance import conftest
from gtmc_pipelines_tests.acceptance.cases import each_group, each_refusal
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Members, Refusal, Subject

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that is down is down for good: nothing is gained by waiting for it."""
    monkeypatch.setattr(conftest, "LONGEST_WAIT_SECONDS", 0.01)


@each_group
def test_members_that_fail_are_left_out_with_their_reason_and_come_back(
    make_stage: MakeStage, subject: Subject, members: Members
) -> None:
    stage = make_stage(dict(members.options))
    unknown, down, fine = members.keys
    _break(stage, members)
    first = stage.completed()
    assert _left_out(stage, first, members) == {unknown: members.unknown[1], down: members.down[1]}
    assert _read(stage, subject, members) == {fine}

    stage.site.mend()
    stage.site.break_(down, **members.down[0])
    second = stage.completed()
    assert _left_out(stage, second, members) == {down: members.down[1]}
    assert _read(stage, subject, members) == {unknown, fine}
    assert not _is_red(stage, members)

    third = stage.completed()
    assert _left_out(stage, third, members) == {down: members.down[1]}
    assert LEFT_OUT_SYNCS == 3
    assert _is_red(stage, members)

    stage.site.mend()
    last = stage.completed()
    assert _left_out(stage, last, members) == {}
    assert not _is_red(stage, members)
    stage.assert_true()


@each_group
@pytest.mark.parametrize("is_killed", [False, True], ids=["resumed", "killed"])
def test_a_sync_that_goes_on_in_another_segment_keeps_what_it_left_out(
    make_stage: MakeStage, subject: Subject, members: Members, is_killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded segments, and one that dies with its worker as soon as a member is left out: the next goes on there."""
    stage = make_stage(dict(members.options), GTMC_SEGMENT_RECORDS=250_000 if is_killed else 1)
    stage.attempts = 2
    unknown, down, _ = members.keys
    _break(stage, members)
    if is_killed:
        _die_once(monkeypatch)
    before = stage.site.last_seq
    outcome = stage.completed(SyncMode.FULL)
    assert stage.segments > 1
    assert _left_out(stage, outcome, members) == {unknown: members.unknown[1], down: members.down[1]}
    asked = [entry["path"] for entry in stage.site.journal(before) if unknown in entry["path"]]
    assert len(asked) == len(set(asked)), "what can't be served is asked once a sync"


@each_refusal
def test_a_stream_that_is_refused_does_not_end_the_others(stage: Stage, subject: Subject, refusal: Refusal) -> None:
    stage.site.break_(refusal.path, **refusal.wish)
    outcome = stage.sync()
    assert outcome.outcome is Outcome.FAILED
    assert set(outcome.failed_streams) == {refusal.stream}
    assert [fault.code for fault in stage.broken] == [refusal.code]
    assert stage.broken[0].next_step
    for case in subject.streams:
        assert (Counts.of(outcome.counts.get(case.name, {})).read > 0) is (case.name != refusal.stream), case.name


def _break(stage: Stage, members: Members) -> None:
    for key, (wish, _) in zip(members.keys, (members.unknown, members.down), strict=False):
        stage.site.break_(key, **wish)


def _left_out(stage: Stage, outcome: SyncOutcome, members: Members) -> dict[str, str]:
    """Reasons by member, of those that could be read, as the sync's log tells them."""
    log = require_sync(stage.database, stage.tenant, outcome.sync_log_id)
    told = log.stream_counts[members.stream].get("left_out", {}).get("slices", [])
    return {each["slice"]: each["reason"] for each in told if each["slice"] in members.keys}


def _read(stage: Stage, subject: Subject, members: Members) -> set[str]:
    """Members with rows."""
    table = next(subject.stream(case).raw_table for case in subject.streams if case.name == members.stream)
    return {each["slice"] for each in stage.select(f"SELECT DISTINCT slice FROM {table} WHERE slice IS NOT NULL")}


def _is_red(stage: Stage, members: Members) -> bool:
    """Whether the check `left_out_members` finds something at this tenant."""
    kind = stage.subject.type
    evidence = Evidence(stage.database, kind, CONNECTORS[kind].default_mappings(), datetime.now(UTC))
    return any(each.tenant_id == stage.tenant and each.stream == members.stream for each in evidence.left_out)


def _die_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first segment ends without a word to anybody as soon as it has noted a member that is left out."""
    read_streams, deaths = sync_segment.read_streams, [1]

    def dying(*arguments: Any) -> Iterator[Any]:
        was_left_out = False
        for step in read_streams(*arguments):
            yield step
            was_left_out = was_left_out or (isinstance(step, SliceEnd) and step.fault is not None)
            if was_left_out and deaths and not isinstance(step, StreamEnd):
                deaths.clear()
                raise Retry("worker_died", "The worker is gone.")

    monkeypatch.setattr(sync_segment, "read_streams", dying)
