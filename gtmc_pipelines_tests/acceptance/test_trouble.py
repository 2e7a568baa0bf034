"""A vendor that is busy, down or has thrown us out: waited for as asked, given up cleanly, or told to the user."""

import re

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.workflows.activities import reading
from gtmc_pipelines_tests.acceptance.cases import each_limited_subject, each_subject
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Rate, Subject

pytestmark = pytest.mark.services

WISH_SECONDS = 2
NOTED_LATE_SECONDS = 0.05
"""A busy machine may note a request's arrival that much after it: the next one then seems to come too soon."""


@each_subject
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_throttled_request_waits_as_long_as_the_vendor_asks(stage: Stage, subject: Subject, form: str) -> None:
    case = subject.probed[0]
    stage.site.break_(case.endpoint, fault="rate_limit", count=1, retry_after=WISH_SECONDS, retry_after_form=form)
    stage.completed()
    assert max(stage.waits) >= WISH_SECONDS - 0.1
    assert len(stage.waits) == 1
    assert _statuses(stage, case.endpoint).count(429) == 1
    stage.assert_true()


@each_subject
def test_a_throttled_request_without_a_stated_wait_is_made_again_after_a_back_off(
    stage: Stage, subject: Subject
) -> None:
    case = subject.probed[0]
    stage.site.break_(case.endpoint, fault="rate_limit", count=2, retry_after=None)
    stage.completed()
    assert len(stage.waits) == 2
    assert all(wait > 0.2 for wait in stage.waits)
    assert _statuses(stage, case.endpoint).count(429) == 2
    stage.assert_true()


@each_subject
def test_server_errors_now_and_then_cost_only_repetitions(stage: Stage, subject: Subject) -> None:
    for case in subject.probed:
        stage.site.break_(case.endpoint, fault="server_error", every=2, body="html")
    stage.completed()
    assert stage.site.strikes() > 0
    assert len(stage.waits) == stage.site.strikes()
    stage.assert_true()


@each_subject
def test_a_vendor_that_stays_down_fails_the_sync_for_now_with_everything_kept(stage: Stage, subject: Subject) -> None:
    stage.completed()
    marks = {place: state.watermark for place, state in stage.states.items()}
    before = stage.versions()
    case = subject.probed[0]
    stage.site.break_(case.endpoint, fault="server_error", status=502)
    outcome = stage.sync(SyncMode.FULL)
    assert outcome.outcome is Outcome.FAILED
    assert outcome.error_code == "vendor_unavailable"
    assert outcome.next_step
    assert (stage.now.status, stage.now.error_kind) == (ConnectorStatus.ERROR, "retry")
    assert stage.versions() == before
    after = {place: state.watermark for place, state in stage.states.items()}
    assert {place: mark for place, mark in after.items() if place[0] == case.name} == {
        place: mark for place, mark in marks.items() if place[0] == case.name
    }
    stage.site.mend()
    stage.mutate(*(change for case in subject.streams for change in case.changes))
    stage.completed()
    assert stage.now.status is ConnectorStatus.CONNECTED
    stage.assert_true()


@each_subject
def test_a_first_sync_cut_off_in_the_middle_goes_on_where_it_stopped(
    stage: Stage, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "coalesce", iter)  # each page is committed before the next one is written
    case = subject.probed[0]
    stage.site.break_(case.endpoint, fault="server_error", after=1)
    assert stage.sync().outcome is Outcome.FAILED
    unfinished = [state for state in stage.states.values() if state.is_unfinished]
    assert [state.stream for state in unfinished] == [case.name]
    rows = stage.versions()
    stage.site.mend()
    outcome = stage.completed()
    assert outcome.mode is SyncMode.FULL, "the rest of a full sync is still a full one"
    stage.assert_true()
    kept = stage.versions()
    assert all(kept[table][key] == version for table in rows for key, version in rows[table].items())


@each_subject
def test_refused_credentials_ask_the_user_after_two_calls_at_most(stage: Stage, subject: Subject) -> None:
    stage.completed()
    contents, before = stage.contents(), stage.site.last_seq
    for wish in subject.expired:
        stage.site.break_("", **wish)
    outcome = stage.sync()
    assert outcome.outcome is Outcome.FAILED
    assert "gtmc " in outcome.next_step, outcome.next_step
    assert stage.tenant in outcome.error + outcome.next_step
    assert (stage.now.status, stage.now.error_kind) == (ConnectorStatus.ERROR, "reauthorize")
    assert 1 <= len(stage.site.journal(before)) <= 2
    assert stage.contents() == contents
    health = stage.health()
    assert not health.is_healthy
    assert health.detail


@each_limited_subject
def test_a_vendors_rate_limit_is_reached_and_never_exceeded(make_stage: MakeStage, subject: Subject) -> None:
    rate = subject.rate
    assert isinstance(rate, Rate)
    stage = make_stage(dict(rate.options))
    before = stage.site.last_seq
    stage.completed()
    times = [entry["at"] for entry in stage.site.journal(before) if re.search(rate.path, entry["path"])]
    assert len(times) > rate.limit, "too few requests to meet the limit"
    for first, beyond in zip(times, times[rate.limit :], strict=False):
        assert beyond - first > rate.per_seconds - NOTED_LATE_SECONDS, (
            f"more than {rate.limit} requests in {rate.per_seconds} s"
        )
    assert not stage.waits, "the vendor had to ask us to slow down"
    stage.assert_true()


def _statuses(stage: Stage, path: str) -> list[int]:
    return [int(entry["status"]) for entry in stage.site.journal() if re.search(path, entry["path"])]
