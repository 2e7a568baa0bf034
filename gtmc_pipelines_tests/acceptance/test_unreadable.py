"""A record nested 200,000 deep or with bytes that are no UTF-8 is a dead letter; its neighbours are written."""

import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines_tests.acceptance.conftest import MakeStage
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Subject
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS

pytestmark = pytest.mark.services

BOTH = {"too_deep", "bad_unicode"}
CASES = {
    "salesforce": ("accounts", "/query", r'"Name" ?: ?("[^"]*")', {}, BOTH),
    "salesforce-bulk": (
        "accounts",
        "/results",
        r'"((?:https?://|www\.)[^"]*)"',
        {"bulk_threshold": 0},
        {"bad_unicode"},
    ),
    "customerio": ("people", "/customers", r'"first_name" ?: ?("[^"]*")', {}, BOTH),
    "delivrai": ("intent_signals", "/intent-signals", r'"contentTopic" ?: ?("[^"]*")', {}, BOTH),
    "o365": ("email_metadata", "/messages", r'"conversationId" ?: ?("[^"]*")', {}, {"malformed_record", "bad_unicode"}),
    "fathom": ("meetings", "/meetings", r'"title" ?: ?("[^"]*")', {}, BOTH),
}


@pytest.mark.parametrize(
    ("subject", "case"),
    [
        pytest.param(subject, name, id=name)
        for subject in SUBJECTS
        for name in CASES
        if ConnectorType(name.partition("-")[0]) is subject.type
    ],
)
def test_what_nobody_can_read_is_a_dead_letter_and_its_neighbours_are_written(
    subject: Subject, case: str, make_stage: MakeStage
) -> None:
    stream, path, find, options, reasons = CASES[case]
    stage: Stage = make_stage(options)
    stage.site.break_(path, fault="unreadable", find=find)
    outcome = stage.sync(SyncMode.FULL, (stream,))
    assert not stage.broken, stage.broken
    letters = stage.letters
    assert {letter.reason_code for letter in letters} == reasons, [(x.reason_code, x.detail) for x in letters]
    counts = Counts.of(outcome.counts[stream])
    assert counts.failed == len(letters)
    assert counts.created + counts.skipped == counts.read - counts.failed > 0
