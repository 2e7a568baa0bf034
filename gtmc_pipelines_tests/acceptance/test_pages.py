"""Pages that loop, are empty or lead astray end one stream with a code, and cost nothing that was there before."""

import re

import pytest

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines_tests.acceptance.cases import each_stream
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Exempt, Fault, StreamCase, Subject, Wish

pytestmark = pytest.mark.services


def wish_for(subject: Subject, case: StreamCase, fault: Fault) -> Wish:
    """The knob of a case that isn't exempt."""
    wish = subject.wish(case, fault)
    assert not isinstance(wish, Exempt)
    return wish


def broken_with(stage: Stage, case: StreamCase, code: str) -> None:
    """A full sync in which this stream, and no other, breaks with this code."""
    outcome = stage.sync(SyncMode.FULL)
    assert outcome.outcome is Outcome.FAILED
    assert set(outcome.failed_streams) == {case.name}, outcome.failed_streams
    (fault,) = stage.broken
    assert isinstance(fault, Broken)
    assert fault.code == code
    assert fault.next_step
    assert fault.__cause__ is None
    assert stage.site.strikes() > 0
    for stream, counts in outcome.counts.items():
        assert stream == case.name or Counts.of(counts).read > 0, f"{stream} was not read"


def heals(stage: Stage) -> None:
    """Once the vendor is itself again, the next sync makes the tables true."""
    stage.site.mend()
    stage.completed()
    stage.assert_true()


@each_stream(Fault.CURSOR_LOOP)
def test_a_cursor_loop_is_cut_after_at_most_one_extra_page(stage: Stage, subject: Subject, case: StreamCase) -> None:
    before = stage.site.last_seq
    stage.completed()
    straight = _asked(stage, case, before)
    before = stage.site.last_seq
    stage.site.break_(case.endpoint, **wish_for(subject, case, Fault.CURSOR_LOOP))
    broken_with(stage, case, "cursor_loop")
    assert _asked(stage, case, before) <= straight + 1
    heals(stage)


@each_stream(Fault.EMPTY_PAGE)
def test_an_empty_page_with_a_next_link_goes_on(stage: Stage, subject: Subject, case: StreamCase) -> None:
    stage.site.break_(case.endpoint, **wish_for(subject, case, Fault.EMPTY_PAGE))
    stage.completed()
    assert stage.site.strikes() > 0
    stage.assert_true()


@each_stream(Fault.FOREIGN_LINK)
def test_a_next_link_to_a_foreign_host_is_refused_and_never_called(
    stage: Stage, subject: Subject, case: StreamCase, stranger: tuple[str, list[str]]
) -> None:
    url, asked = stranger
    stage.site.break_(case.endpoint, **{"url": url, **wish_for(subject, case, Fault.FOREIGN_LINK)})
    broken_with(stage, case, "foreign_next_link")
    assert not asked
    heals(stage)


def _asked(stage: Stage, case: StreamCase, since: int) -> int:
    return sum(1 for entry in stage.site.journal(since) if re.search(case.endpoint, entry["path"]))
