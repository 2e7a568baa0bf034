"""Records that are not as the contract says cost themselves at most: their neighbours are written, the books add up."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gtmc_pipelines.cli.truth.compare import EXPECTATIONS
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.storage.dead_letters import DeadLetter
from gtmc_pipelines_tests.acceptance.cases import each_stream
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Fault, StreamCase, Subject
from gtmc_pipelines_tests.acceptance.test_pages import wish_for

pytestmark = pytest.mark.services

MEGABYTE = 1_000_000
CODES = {*REASONS, "malformed_record", "unstorable"}


def _synced(stage: Stage, subject: Subject, case: StreamCase, fault: Fault) -> Counts:
    """A full sync under this fault, which must happen and must not fail the sync; gives the stream's counts."""
    stage.site.break_(case.endpoint, **wish_for(subject, case, fault))
    outcome = stage.completed(SyncMode.FULL)
    assert stage.site.strikes() > 0
    stage.site.mend()
    return Counts.of(outcome.counts[case.name])


@each_stream(Fault.MALFORMED_RECORD)
def test_a_malformed_record_is_a_dead_letter_and_its_neighbours_are_written(
    stage: Stage, subject: Subject, case: StreamCase
) -> None:
    counts = _synced(stage, subject, case, Fault.MALFORMED_RECORD)
    (letter,) = stage.letters
    assert (letter.stream, letter.reason_code) == (case.name, "missing_id")
    assert letter.detail
    assert counts.failed == 1
    lost = stage.verdict().differences
    assert 1 <= len(lost) <= len(subject.stream(case).tables), lost[:10]
    assert all(difference.endswith("missing") for difference in lost), lost
    stage.completed(SyncMode.FULL)
    stage.assert_true()


@each_stream(Fault.UNKNOWN_FIELD)
def test_an_unknown_field_changes_nothing(stage: Stage, subject: Subject, case: StreamCase) -> None:
    counts = _synced(stage, subject, case, Fault.UNKNOWN_FIELD)
    assert counts.failed == 0
    stage.assert_true()


@each_stream(Fault.MISSING_OPTIONAL)
def test_records_without_an_optional_field_are_written_without_it(
    stage: Stage, subject: Subject, case: StreamCase
) -> None:
    counts = _synced(stage, subject, case, Fault.MISSING_OPTIONAL)
    assert counts.failed == 0
    assert not stage.letters
    for table, wanted in _expected(stage).items():
        live = {key for key, row in stage.canonical(table).items() if not row["deleted_at"]}
        assert live == set(wanted), table
    stage.completed(SyncMode.FULL)
    stage.assert_true()


@each_stream(Fault.MISSING_REQUIRED)
def test_records_without_a_required_field_are_dead_letters_until_they_come_again(
    stage: Stage, subject: Subject, case: StreamCase
) -> None:
    counts = _synced(stage, subject, case, Fault.MISSING_REQUIRED)
    letters = stage.letters
    assert {letter.stream for letter in letters} == {case.name}
    assert {letter.reason_code for letter in letters} <= CODES, {letter.reason_code for letter in letters}
    assert len(letters) == counts.failed > 0
    _assert_all_accounted_for(stage, letters)
    stage.completed(SyncMode.FULL)
    stage.assert_true()
    assert not stage.letters, "a letter stays open although its record has been written"


@each_stream(Fault.HUGE_RECORD)
def test_a_record_of_a_megabyte_is_written_or_rejected_with_a_code(
    stage: Stage, subject: Subject, case: StreamCase
) -> None:
    before = stage.site.last_seq
    counts = _synced(stage, subject, case, Fault.HUGE_RECORD)
    assert max(int(entry["bytes"]) for entry in stage.site.journal(before)) > MEGABYTE
    letters = stage.letters
    assert len(letters) == counts.failed <= 1
    assert {letter.reason_code for letter in letters} <= CODES
    _assert_all_accounted_for(stage, letters)


def _assert_all_accounted_for(stage: Stage, letters: Sequence[DeadLetter]) -> None:
    """Every record of the vendor is a row or a dead letter."""
    rejected = {str(letter.external_id) for letter in letters}
    for table, wanted in _expected(stage).items():
        prefix = _prefix(stage, table)
        missing = set(wanted) - set(stage.canonical(table)) - {prefix + key for key in rejected}
        assert not missing, f"{len(missing)} records are neither in {table} nor dead letters"


def _expected(stage: Stage) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    return EXPECTATIONS[stage.subject.type](stage.site.records)


def _prefix(stage: Stage, table: str) -> str:
    streams = [stage.subject.stream(case) for case in stage.subject.streams]
    found = {
        stream.prefix_of(entity)
        for stream in streams
        for entity, name in zip(stream.entities, stream.tables, strict=True)
        if name == table
    }
    return max(found, default="")
