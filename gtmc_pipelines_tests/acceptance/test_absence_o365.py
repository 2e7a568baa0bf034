"""Office 365: a full sync marks what was deleted, mailbox by mailbox, and nothing that was only filed or not read."""

from datetime import timedelta
from typing import Any

import pytest

from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.sandbox.o365.people import People
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Change, Subject
from gtmc_pipelines_tests.acceptance.subject_o365 import FRIEND, SEED, SIZES, SUBJECT

pytestmark = [pytest.mark.services, pytest.mark.parametrize("subject", [SUBJECT], ids=["o365"])]

PEOPLE = People("acme", SEED, SIZES, SIZES["mailboxes"])
LAST = PEOPLE.user(SIZES["mailboxes"] - 1).id


def test_ten_deleted_messages_of_which_some_are_stored_are_marked_by_a_full_sync(
    stage: Stage, subject: Subject
) -> None:
    stage.completed()
    before = _live(stage)
    stage.site.mutate(Change("Message", "delete", 10))
    stage.completed(SyncMode.FULL, is_confirmed=True)
    assert len(_live(stage)) < len(before)
    stage.assert_true()


def test_messages_that_were_filed_elsewhere_stay(stage: Stage, subject: Subject) -> None:
    stage.completed()
    before = _live(stage)
    stage.site.mutate(Change("Message", "update", 12, {"folder": "archive", "reason": "deleted"}))
    stage.completed(SyncMode.FULL)
    assert _live(stage) == before


def test_a_window_that_became_shorter_sweeps_only_what_lies_in_it(make_stage: MakeStage, subject: Subject) -> None:
    stage = make_stage({"lookback_days": 40})
    stage.completed()
    days = "now() - source_updated_at > interval '12 days' AS is_old"
    old = {one["external_id"] for one in stage.select(f"SELECT external_id, {days} FROM {RAW}") if one["is_old"]}
    assert 0 < len(old) < len(_live(stage))
    with stage.database.tenant(stage.tenant) as handle:
        run(handle, "UPDATE connectors SET config = jsonb_set(config, '{options,lookback_days}', '10')")
    stage.site.mutate(Change("Message", "delete", 60))
    stage.completed(SyncMode.FULL, is_confirmed=True)
    assert _live(stage) >= old
    assert not stage.comparisons()["email_metadata"].extra


def test_a_mailbox_that_left_the_directory_is_swept_as_a_whole_after_seven_days(stage: Stage, subject: Subject) -> None:
    stage.site.mutate(Change("Message", "create", 1, {"from": FRIEND, "mailbox": LAST}))
    stage.completed()
    theirs = {one["external_id"] for one in stage.select(f"SELECT external_id FROM {RAW} WHERE slice = '{LAST}'")}
    assert theirs
    stage.site.mutate(Change("User", "delete"))
    stage.completed()
    stage.completed(SyncMode.FULL)
    assert theirs <= _live(stage), "it may be back tomorrow"
    _wait(stage, timedelta(days=8))
    stage.completed(is_confirmed=True)
    assert not theirs & _live(stage)
    gone = stage.select("SELECT external_id FROM activities WHERE deleted_reason = 'slice_gone'")
    assert {one["external_id"] for one in gone} == theirs


def test_a_mailbox_that_could_not_be_read_loses_nothing_and_the_others_do(stage: Stage, subject: Subject) -> None:
    first = PEOPLE.user(0).id
    for mailbox in (first, LAST):
        stage.site.mutate(Change("Message", "create", 2, {"from": FRIEND, "mailbox": mailbox}))
    stage.completed()
    before = _live(stage)
    theirs = {one["external_id"] for one in stage.select(f"SELECT external_id FROM {RAW} WHERE slice = '{LAST}'")}
    stage.site.mutate(Change("Message", "delete", 60))
    stage.site.break_(LAST, fault="mailbox_denied")
    outcome = stage.completed(SyncMode.FULL, is_confirmed=True)
    assert outcome.totals.deleted > 0
    assert theirs <= _live(stage) < before
    stage.site.mend()
    stage.completed(SyncMode.FULL, is_confirmed=True)
    stage.assert_true()


def test_a_disabled_user_has_left_nothing(stage: Stage, subject: Subject) -> None:
    stage.completed()
    before = _live(stage)
    stage.site.ask("POST", "mutate", _disable())
    stage.completed()
    _wait(stage, timedelta(days=8))
    stage.completed(SyncMode.FULL, is_confirmed=True)
    assert _live(stage) == before


def test_a_directory_that_lists_nobody_is_no_absence(stage: Stage, subject: Subject) -> None:
    stage.completed()
    ids = [PEOPLE.user(index).id for index in range(PEOPLE.users)]
    stage.site.ask("POST", "mutate", _of_users("delete", ids))
    stage.completed()
    assert stage.select("SELECT FROM stream_cursors WHERE absent_since IS NOT NULL") == []


RAW = "raw.o365_email_metadata"


def _live(stage: Stage) -> set[str]:
    return {one["external_id"] for one in stage.select("SELECT external_id FROM activities WHERE deleted_at IS NULL")}


def _wait(stage: Stage, span: timedelta) -> None:
    """Let time pass: absence began that much earlier."""
    with stage.database.tenant(stage.tenant) as handle:
        run(handle, "UPDATE stream_cursors SET absent_since = absent_since - %(span)s", {"span": span})


def _disable() -> dict[str, Any]:
    return _of_users("update", [LAST]) | {"fields": {"accountEnabled": False}}


def _of_users(action: str, ids: list[str]) -> dict[str, Any]:
    return {"org": "acme", "object": "User", "action": action, "ids": ids}
