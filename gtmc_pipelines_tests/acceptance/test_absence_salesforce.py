"""Salesforce: what is in no feed, deleted for good or hidden, is asked for by id and marked as not visible."""

import pytest

from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Change, Subject
from gtmc_pipelines_tests.acceptance.subject_salesforce import SUBJECT

pytestmark = [pytest.mark.services, pytest.mark.parametrize("subject", [SUBJECT], ids=["salesforce"])]


def test_what_left_the_recycle_bin_unseen_is_marked_by_a_full_sync(stage: Stage, subject: Subject) -> None:
    stage.completed()
    ids = stage.site.mutate(Change("Contact", "delete"))
    stage.site.mutate(Change("Contact", "purge", 12))  # all of the bin, before any sync could hear of them
    assert stage.completed().totals.deleted == 0, "no feed tells of them"
    before = stage.site.last_seq
    outcome = stage.completed(SyncMode.FULL)
    assert outcome.totals.deleted == len(ids)
    asked = [entry for entry in stage.site.journal(before) if "Id+IN+" in str(entry)]
    assert len(asked) <= 1, "200 ids a request"
    assert _reasons(stage) == dict.fromkeys(ids, "not_visible")
    assert stage.comparisons()["contacts"].not_visible == len(ids)
    stage.assert_true()


def test_hidden_records_are_marked_and_come_back_when_they_are_seen(stage: Stage, subject: Subject) -> None:
    stage.completed()
    ids = stage.site.mutate(Change("Lead", "update", 4, {"Hidden": True}))
    outcome = stage.completed(SyncMode.FULL)
    assert outcome.totals.deleted == len(ids)
    assert set(_reasons(stage)) == set(ids)
    stage.assert_true()
    _show(stage, ids)
    assert stage.completed(SyncMode.FULL).totals.updated == len(ids)
    assert _reasons(stage) == {}
    assert stage.comparisons()["leads"].not_visible == 0
    stage.assert_true()


def test_a_user_who_lost_sight_of_much_is_a_question_and_no_deletion(stage: Stage, subject: Subject) -> None:
    stage.completed()
    ids = stage.site.mutate(Change("Opportunity", "update", 8, {"Hidden": True}))
    outcome = stage.sync(SyncMode.FULL)
    assert outcome.outcome is Outcome.FAILED
    assert set(outcome.failed_streams) == {"opportunities"}
    sentence = outcome.failed_streams["opportunities"]
    assert "8 of 20" in sentence
    assert "--full --confirm-deletions" in sentence
    assert _reasons(stage) == {}
    assert stage.completed().totals.deleted == 0, "an incremental sync does not ask again"
    assert stage.completed(SyncMode.FULL, ("opportunities",), is_confirmed=True).totals.deleted == len(ids)
    stage.assert_true()


def _reasons(stage: Stage) -> dict[str, str]:
    """Reason by id of every canonical row that is marked for a reason of its own."""
    tables = ("accounts", "people", "opportunities", "activities")
    statement = "SELECT external_id, deleted_reason FROM {} WHERE deleted_reason IS NOT NULL AND deleted_at IS NOT NULL"
    found = [each for table in tables for each in stage.select(statement.format(table))]
    return {each["external_id"]: each["deleted_reason"] for each in found}


def _show(stage: Stage, ids: list[str]) -> None:
    wish = {"org": stage.site.org, "object": "Lead", "action": "update", "ids": ids, "fields": {"Hidden": False}}
    stage.site.ask("POST", "mutate", wish)
