"""Erased people in what they share with others: meetings, and activities and signals that are theirs alone."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import pytest

from gtmc_pipelines.connectors.fathom.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import Page, RejectedRecord, RowMapper, SourceRecord
from gtmc_pipelines.storage import leases, rotation, tombstones
from gtmc_pipelines.storage.batch import Batch
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.person_erasure import erase_person
from gtmc_pipelines.storage.person_search import find_person, identify
from gtmc_pipelines.storage.statements import row
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.workflows.activities.erased import without_erased
from gtmc_pipelines_tests.storage.write_scene import Scene, at

pytestmark = pytest.mark.services

ANN = "ann.lee@people.test"
MEETING = {
    "recording_id": 123456789,
    "title": "Plans",
    "created_at": "2026-01-01T11:00:00Z",
    "recording_start_time": "2026-01-01T10:00:00Z",
    "recording_end_time": "2026-01-01T10:30:00Z",
    "recorded_by": {"name": "Bob Bee", "email": "bob@own.test"},
    "calendar_invitees": [
        {"name": "Ann Lee", "email": ANN, "is_external": True},
        {"name": "Bob Bee", "email": "bob@own.test", "is_external": False},
        {"name": "Cid Dee", "email": "cid@else.test", "is_external": True},
    ],
    "transcript": [
        {"speaker": {"display_name": "Ann Lee"}, "text": "my secret", "timestamp": "00:00:01"},
        {"speaker": {"display_name": "Bob Bee"}, "text": "hello everybody", "timestamp": "00:00:02"},
    ],
    "default_summary": {"markdown_formatted": "Ann Lee agreed."},
}


@dataclass
class Reading:
    """A stream that is read into the database, through the filter as soon as somebody is erased."""

    scene: Scene
    mappers: list[RowMapper]
    ring: KeyRing

    def load(self, *records: SourceRecord, rejects: tuple[RejectedRecord, ...] = ()) -> Counts:
        stones = tombstones.load(self.scene.database, self.ring, self.scene.tenant_id)
        page = Page(records, "next", rejects=rejects)
        if stones is not None:
            page = without_erased(page, self.scene.stream, self.mappers[0], stones)
        with BatchWriter(self.scene.database, self.scene.target, self.mappers) as writer:
            return writer.write(Batch(page.records, page.checkpoint, None, page.rejects, page.skipped))

    def erase(self) -> dict[str, int]:
        """Erase Ann between two syncs; the proof must find nothing."""
        database, tenant, target = self.scene.database, self.scene.tenant_id, self.scene.target
        with database.tenant(tenant) as handle:
            leases.release(handle, tenant, target.connector_id, "run-1")
            person = identify(handle, tenant, ANN, {})
        counts = erase_person(database, self.ring, tenant, person, actor="test")
        assert find_person(database, tenant, person) == {}
        with database.tenant(tenant) as handle:
            token = leases.take(handle, tenant, target.connector_id, "run-1", "workflow-1")
        assert isinstance(token, int)
        self.scene.target = type(target)(**{**_fields(target), "fence": token})
        return counts

    def everything(self) -> str:
        """All rows of the tenant in the tables of the stream, as one text."""
        stream = self.scene.stream
        return json.dumps(
            [self.scene.select(f"SELECT * FROM {table}") for table in (*stream.tables, stream.raw_table)],
            default=str,
        )


def _fields(target: Any) -> dict[str, Any]:
    return {name: getattr(target, name) for name in target.__dataclass_fields__}


def reading(database: Database, tenant: str, kind: ConnectorType, stream: str, mappings: Any) -> Reading:
    scene = Scene(database, tenant, kind, stream)
    mappers: list[RowMapper] = [
        compile_mapping(entity, mappings[entity], stream, scene.stream.prefix_of(entity))
        for entity in scene.stream.entities
    ]
    return Reading(scene, mappers, KeyRing(os.urandom(32)))


def record(key: str, minutes: float, payload: dict[str, Any]) -> SourceRecord:
    return SourceRecord(key, json.dumps(payload).encode(), at(minutes))


def test_a_meeting_stays_without_the_person_and_is_unchanged_by_later_syncs(database: Database, tenant: str) -> None:
    meetings = reading(database, tenant, ConnectorType.FATHOM, "meetings", DEFAULT_MAPPINGS)
    meeting = record("123456789", 0, MEETING)
    assert meetings.load(meeting).created == 1
    meetings.erase()
    for expected in ({"updated": 1}, {"unchanged": 1}, {"unchanged": 1}):
        everything = meetings.everything()
        assert not [word for word in (ANN, "Ann Lee", "secret") if word in everything]
        assert "hello everybody" in everything
        assert "cid@else.test" in everything
        counts = meetings.load(meeting).as_dict()
        assert {name: counts[name] for name in expected} == expected
    (stored,) = meetings.scene.select("SELECT transcript, participants FROM fathom_meetings")
    assert stored["transcript"] == "Bob Bee: hello everybody"
    assert [one["name"] for one in stored["participants"]] == ["Bob Bee", "Cid Dee"]


ACTIVITIES = {
    Entity.ACTIVITY: [
        MappingEntry("kind", "type"),
        MappingEntry("kind", "channel"),
        MappingEntry("at", "occurredAt"),
        MappingEntry("who", "personExternalId"),
    ]
}


def test_activities_of_the_person_go_and_stay_away(database: Database, tenant: str) -> None:
    events = reading(database, tenant, ConnectorType.CUSTOMERIO, "email_events", ACTIVITIES)
    fields = {"kind": "email", "at": "2026-01-01T00:00:00Z"}
    records = [
        record("E1", 0, {**fields, "who": ANN}),
        record("E2", 0, {**fields, "who": "bob@own.test", "cc": ANN}),
        record("E3", 0, {**fields, "who": "bob@own.test"}),
    ]
    assert events.load(*records).created == 3
    counts = events.erase()
    assert counts["activities"] == 1
    assert counts["raw.customerio_email_events"] == 2
    for _ in range(3):
        assert events.load(*records).skipped == 1
        assert ANN not in events.everything()
    assert [each["external_id"] for each in events.scene.select("SELECT external_id FROM activities ORDER BY 1")] == [
        "E2",
        "E3",
    ]


def test_what_cannot_be_read_as_a_record_does_not_bring_the_person_back_either(database: Database, tenant: str) -> None:
    events = reading(database, tenant, ConnectorType.CUSTOMERIO, "email_events", ACTIVITIES)
    events.erase()
    broken = SourceRecord("E9", f'{{"who": "{ANN}"'.encode(), at(0))
    counts = events.load(broken, rejects=(RejectedRecord(ANN, "bad", ""), RejectedRecord("other", "bad", "")))
    assert (counts.skipped, counts.failed, counts.is_balanced) == (2, 1, True)
    assert list(events.scene.letters()) == ["other"]


def test_tombstones_outlive_the_key_they_were_sealed_with(database: Database, tenant: str) -> None:
    events = reading(database, tenant, ConnectorType.CUSTOMERIO, "email_events", ACTIVITIES)
    assert tombstones.load(database, events.ring, tenant) is None
    old, new = os.urandom(32), os.urandom(32)
    events.ring = KeyRing(old)
    events.erase()
    assert rotation.reseal(database, KeyRing(new, [old]), tenant, actor="test").secrets == 1
    assert rotation.take_census(database, KeyRing(new), tenant).left(KeyRing(new)) == 0
    stones = tombstones.load(database, KeyRing(new), tenant)
    assert stones is not None
    assert stones.marks("customerio").is_in(f"To: {ANN}")
    with database.tenant(tenant) as handle:
        kept = row(handle, "SELECT erased_people::text AS text FROM erased_people")
    assert kept is not None
    assert ANN not in kept["text"]
