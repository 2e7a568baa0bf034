"""A customer's schema: as wide as the vendor lets it be, and with fields that vanish and come back."""

from collections.abc import Mapping
from typing import Any

import pytest

from gtmc_pipelines.model.phases import Outcome, SyncMode
from gtmc_pipelines.storage.stream_fields import hidden_fields
from gtmc_pipelines.workflows.activities import reading
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Exempt, HiddenField, Subject
from gtmc_pipelines_tests.acceptance.subject_fathom import SUBJECT
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS

pytestmark = pytest.mark.services

WIDE = 800


@pytest.mark.parametrize(
    "subject", [one for one in SUBJECTS if not isinstance(one.wide, Exempt)], ids=lambda subject: subject.type.value
)
def test_a_schema_of_800_fields_is_read_whole(stage: Stage, subject: Subject) -> None:
    assert not isinstance(subject.wide, Exempt)
    for wish in subject.wide:
        stage.site.break_("", **wish)
    for mode in (SyncMode.FULL, SyncMode.INCREMENTAL):
        stage.mutate(*(case.changes[0] for case in subject.streams))
        stage.completed(mode)
        stage.assert_true()
    widths = [len(_widest(payload)) for payload in _payloads(stage)]
    assert max(widths) > WIDE, "no raw record has the 800 fields"
    assert all(int(entry["status"] or 0) < 400 for entry in stage.site.journal())


def _payloads(stage: Stage) -> list[Any]:
    tables = [found for name, found in stage.contents().items() if name.startswith("raw.")]
    return [payload for found in tables for payload, _ in found.values()]


def _widest(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    inner: Mapping[str, Any] = payload.get("attributes", payload)
    return inner


@pytest.mark.parametrize(
    "subject", [one for one in SUBJECTS if not isinstance(one.hidden, Exempt)], ids=lambda subject: subject.type.value
)
def test_a_hidden_field_keeps_its_values_until_it_is_back(stage: Stage, subject: Subject) -> None:
    hidden = subject.hidden
    assert not isinstance(hidden, Exempt)
    changes = next(case.changes for case in subject.streams if case.name == hidden.stream)
    stage.completed()
    before = _values(stage, hidden)
    assert before
    stage.site.break_("", **hidden.wish)
    if any(change.action == "update" for change in changes):
        stage.mutate(*(change for change in changes if change.action == "update"))
    if not hidden.needs_full:
        stage.completed()
        assert _hidden(stage)
    stage.completed(SyncMode.FULL)
    assert _hidden(stage) == {(hidden.stream, hidden.name)}
    now = _values(stage, hidden)
    assert {key: now[key] for key in before} == before
    assert stage.completed(SyncMode.FULL).totals.changed == 0, "kept values are written once"
    stage.site.mend()
    stage.completed(SyncMode.FULL if hidden.needs_full else SyncMode.INCREMENTAL)
    assert not _hidden(stage)
    stage.assert_true()


@pytest.mark.parametrize("subject", [SUBJECT], ids=["fathom"])
@pytest.mark.parametrize("pages", [1, 5], ids=["before it is told", "just after"])
def test_a_read_that_is_cut_while_a_field_is_hidden_loses_no_value(
    stage: Stage, subject: Subject, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten meetings a page; fifty tell hidden from empty. Neither the first nor the rest may be taken for empty."""
    hidden = subject.hidden
    assert not isinstance(hidden, Exempt)
    stage.completed()
    before = _values(stage, hidden)
    monkeypatch.setattr(reading, "coalesce", iter)
    stage.site.break_("", **hidden.wish)
    stage.site.break_("/meetings", fault="server_error", after=pages)
    assert stage.sync(SyncMode.FULL).outcome is Outcome.FAILED
    stage.site.mend()
    stage.site.break_("", **hidden.wish)
    stage.completed(SyncMode.FULL)
    assert _values(stage, hidden) == before
    assert _hidden(stage) == {(hidden.stream, hidden.name)}


def _values(stage: Stage, hidden: HiddenField) -> dict[str, Any]:
    """Values of the column by row, those that hold any."""
    found = {key: row[hidden.column] for key, row in stage.canonical(hidden.table).items() if not row["deleted_at"]}
    values = {key: value.get(hidden.member) if hidden.member else value for key, value in found.items()}
    return {key: value for key, value in values.items() if value is not None}


def _hidden(stage: Stage) -> set[tuple[str, str]]:
    found = hidden_fields(stage.database, stage.subject.type)
    return {(each.stream, name) for each in found if each.tenant_id == stage.tenant for name in each.since}
