"""From the imitated Fathom through mapping and writing to canonical rows, compared with the vendor's own truth."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.cli.truth.compare import compare
from gtmc_pipelines.connectors.fathom.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.fathom.streams import read_meetings
from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.records import ReadFrom
from gtmc_pipelines.storage.batch import Batch
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.connectors.fathom_scene import Account, ago
from gtmc_pipelines_tests.connectors.vendor_scene import full, since
from gtmc_pipelines_tests.storage.write_scene import Scene

pytestmark = pytest.mark.services


def _mappers() -> list[CompiledMapping]:
    stream = stream_of(ConnectorType.FATHOM, "meetings")
    assert stream is not None
    return [
        compile_mapping(entity, DEFAULT_MAPPINGS[entity], stream.name, stream.prefix_of(entity))
        for entity in stream.entities
    ]


class Landing:
    """A tenant with a Fathom connector into which an account is read."""

    def __init__(self, database: Database, tenant: str, account: Account) -> None:
        self.database, self.tenant, self.account = database, tenant, account
        self.scene = Scene(database, tenant, ConnectorType.FATHOM, "meetings")

    def load(self, start: ReadFrom, **options: Any) -> Counts:
        """Read and write everything from `start`; the counts added up."""
        total, session = Counts(), self.account.session(**options)
        with BatchWriter(self.database, self.scene.target, _mappers()) as writer:
            for page in read_meetings(session, start):
                total += writer.write(Batch(page.records, page.checkpoint, page.watermark, page.rejects, page.skipped))
        session.close()
        assert total.is_balanced
        return total

    def differences(self) -> list[str]:
        """Where canonical rows and the vendor disagree."""
        truth = self.account.truth()
        verdict = compare(self.database, self.tenant, ConnectorType.FATHOM, lambda _: truth.values())
        assert verdict.rows == 2 * len(truth) or verdict.differences
        return verdict.differences


@pytest.fixture
def landing(database: Database, tenant: str, fathom: Account) -> Landing:
    return Landing(database, tenant, fathom)


@pytest.mark.parametrize("mode", ["list", "recordings"])
def test_rows_are_the_truth_and_stay_untouched_without_news(landing: Landing, mode: str) -> None:
    first = landing.load(full(), include_mode=mode)
    assert first.created == first.read == len(landing.account.truth())
    assert landing.differences() == []
    again = landing.load(full(), include_mode=mode)
    assert again.unchanged == again.read == first.read
    rewritten = landing.scene.select("SELECT 1 FROM fathom_meetings WHERE updated_at <> created_at")
    assert rewritten == []


def test_late_transcripts_fill_the_rows_they_belong_to(landing: Landing) -> None:
    late = {"transcript_ready": False, "summary_ready": False}
    made = landing.account.mutate("create", count=3, stamp=ago(days=4), fields=late)
    landing.load(full())
    assert landing.differences() == []
    (bare,) = landing.scene.select(
        "SELECT count(*) AS n FROM fathom_meetings WHERE transcript IS NULL AND sentiment_score IS NULL"
    )
    assert bare["n"] == 3
    landing.account.mutate("update", ids=made, fields={"transcript_ready": True, "summary_ready": True})
    filled = landing.load(since(datetime.now(UTC)))
    assert (filled.updated, filled.created) == (3, 0)
    assert landing.differences() == []


def test_one_meeting_is_one_rich_row_and_one_lean_activity(landing: Landing) -> None:
    landing.load(full())
    found = landing.scene.select(
        "SELECT a.external_id, m.external_id AS meeting, a.type, a.channel, a.properties::text AS properties,"
        " m.transcript, m.sentiment FROM activities a"
        " JOIN fathom_meetings m ON a.external_id = 'fathom_' || m.external_id"
    )
    assert len(found) == len(landing.account.truth())
    for row in found:
        assert (row["type"], row["channel"]) == ("meeting_recorded", "video")
        assert set(json.loads(row["properties"])) == {
            "source",
            "fathomMeetingId",
            "participantCount",
            "durationSeconds",
        }
        assert len(row["properties"]) < 200
        assert row["sentiment"]["method"] == "vaderSentiment"
        assert {"speaker", "score", "characters"} == set(row["sentiment"]["speakers"][0])


def test_half_a_megabyte_of_transcript_is_one_row_like_the_others(landing: Landing) -> None:
    landing.account.mutate("create", fields={"transcript_bytes": 500_000})
    assert landing.load(full()).failed == 0
    assert landing.differences() == []


def test_a_meeting_that_can_not_become_a_row_is_set_aside_alone(
    landing: Landing, caplog: pytest.LogCaptureFixture
) -> None:
    landing.account.break_("dropped_field", field="created_at", count=1)
    with caplog.at_level(logging.DEBUG):
        counts = landing.load(full())
    assert counts.failed == 10
    assert set(landing.scene.letters().values()) == {"required_missing"}
    said = {one["text"] for record in landing.account.truth().values() for one in record["transcript"]}
    assert not any(text in caplog.text for text in said)
    assert landing.load(full()).failed == 0
    assert landing.scene.letters() == {}
    assert landing.differences() == []


def test_the_defaults_have_no_problem_the_validator_sees_and_fill_every_field() -> None:
    (stream,) = CONNECTORS[ConnectorType.FATHOM].streams
    for entity, entries in DEFAULT_MAPPINGS.items():
        assert validate(entity, [entry.as_dict() for entry in entries], [stream.name]) == []
    targets = {entry.target_field for entry in DEFAULT_MAPPINGS[Entity.MEETING]}
    assert targets == {field.target for field in ENTITIES[Entity.MEETING].fields}


@pytest.mark.parametrize("invitees", [None, [], [{"name": "+1 555", "email": None, "is_external": True}]])
def test_a_meeting_with_nobody_known_is_still_a_meeting(invitees: Any) -> None:
    record = {
        "recording_id": 7,
        "title": " ",
        "created_at": "2026-01-15T17:01:30Z",
        "recording_start_time": None,
        "scheduled_start_time": "2026-01-15T16:00:00Z",
        "calendar_invitees": invitees,
        "recorded_by": {"email": "Ola@Acme.test"},
        "transcript": None,
    }
    meeting, activity = (mapper.values(record) for mapper in _mappers())
    assert meeting["participant_count"] == len(invitees or [])
    assert (meeting["title"], meeting["transcript"], meeting["sentiment"]) == (None, None, None)
    assert meeting["occurred_at"] == datetime(2026, 1, 15, 16, tzinfo=UTC)
    assert meeting["recorded_by_email"] == "ola@acme.test"
    assert activity["person_external_id"] is None
    assert activity["properties"]["durationSeconds"] is None
