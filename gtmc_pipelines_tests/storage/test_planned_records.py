"""Records that are left out: by their mapping, or because their activity's time is still to come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.storage import planned_records
from gtmc_pipelines.storage.batch import Batch
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.planned_records import due_records, streams_due
from gtmc_pipelines.storage.planned_writer import PlannedWriter
from gtmc_pipelines.storage.renormalize import RawRewriter, raw_page
from gtmc_pipelines_tests.storage.write_scene import Scene, record

pytestmark = pytest.mark.services

PAST, FUTURE = "2026-01-05T10:00:00Z", "2036-01-05T10:00:00Z"
LATER = datetime(2036, 1, 6, tzinfo=UTC)


def meetings(*more: MappingEntry) -> CompiledMapping:
    entries = (
        MappingEntry("x", "type", Transform.CUSTOM, "'meeting_attend'"),
        MappingEntry("x", "channel", Transform.CUSTOM, "'meetings'"),
        MappingEntry("start", "occurredAt"),
        MappingEntry("copy", "skip"),
    )
    return compile_mapping(Entity.ACTIVITY, (*entries, *more), "events")


@pytest.fixture
def scene(database: Database, tenant: str) -> Scene:
    return Scene(database, tenant, ConnectorType.SALESFORCE, "events", mappers=(meetings(),))  # type: ignore[arg-type]


def live(scene: Scene) -> set[str]:
    return {row["external_id"] for row in scene.select("SELECT external_id FROM activities WHERE deleted_at IS NULL")}


def planned(scene: Scene) -> set[str]:
    return {row["external_id"] for row in scene.select("SELECT external_id FROM planned_records")}


def test_a_record_that_is_left_out_is_landed_and_skipped_and_its_row_goes_and_comes(scene: Scene) -> None:
    assert scene.write(record("a", 1, start=PAST), record("b", 1, start=PAST, copy=True)) == Counts(
        read=2, created=1, skipped=1
    )
    assert live(scene) == {"a"}
    assert len(scene.select("SELECT FROM raw.salesforce_events")) == 2
    assert scene.write(record("a", 2, start=PAST, copy=True)) == Counts(read=1, deleted=1)
    assert live(scene) == set()
    assert scene.write(record("a", 3, start=PAST)) == Counts(read=1, updated=1)
    assert live(scene) == {"a"}
    assert scene.letters() == {}


def test_renormalizing_leaves_out_and_brings_back(scene: Scene) -> None:
    scene.write(record("a", 1, start=PAST, secret=True), record("b", 1, start=PAST))
    page = raw_page(scene.database, scene.tenant_id, scene.stream, "")
    never = compile_mapping(
        Entity.ACTIVITY,
        (
            MappingEntry("x", "type", Transform.CUSTOM, "'meeting_attend'"),
            MappingEntry("x", "channel", Transform.CUSTOM, "'meetings'"),
            MappingEntry("start", "occurredAt"),
            MappingEntry("secret", "skip"),
        ),
        "events",
    )
    for mapper, counts, left in (
        (never, Counts(read=2, deleted=1, unchanged=1), {"b"}),
        (never, Counts(read=2, skipped=1, unchanged=1), {"b"}),
        (meetings(), Counts(read=2, updated=1, unchanged=1), {"a", "b"}),
    ):
        with RawRewriter(scene.database, scene.target, [mapper]) as writer:
            assert writer.write(Batch(page, None)) == counts
        assert live(scene) == left


def test_a_meeting_to_come_is_no_activity_until_it_has_been(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    place: tuple[Any, ...] = (scene.tenant_id, scene.target.connector_id)
    assert scene.write(record("a", 1, start=FUTURE), record("b", 1, start=PAST)) == Counts(read=2, created=1, skipped=1)
    assert (live(scene), planned(scene)) == ({"b"}, {"a"})
    with scene.database.tenant(scene.tenant_id) as handle:
        assert streams_due(handle, *place, datetime.now(UTC)) == frozenset()
        assert streams_due(handle, *place, LATER) == {"events"}
    monkeypatch.setattr(planned_records, "CLOCK_DIFFERENCE", timedelta(days=5_000))  # ten years have gone
    due = due_records(scene.database, *place, scene.stream, LATER)
    with PlannedWriter(scene.database, scene.target, [meetings()]) as writer:
        assert writer.write(Batch(due, None)) == Counts(read=1, created=1)
    assert (live(scene), planned(scene)) == ({"a", "b"}, set())


def test_a_meeting_that_is_put_off_or_called_off(scene: Scene) -> None:
    scene.write(record("a", 1, start=PAST), record("b", 1, start=FUTURE))
    assert scene.write(record("a", 2, start=FUTURE)) == Counts(read=1, deleted=1)
    assert (live(scene), planned(scene)) == (set(), {"a", "b"})
    scene.write(record("a", 3, start=PAST), record("b", 3, deleted=True))
    assert (live(scene), planned(scene)) == ({"a"}, set())


def test_a_plan_whose_record_is_in_no_raw_table_any_more_goes(scene: Scene) -> None:
    scene.write(record("a", 1, start=FUTURE))
    with scene.database.tenant(scene.tenant_id) as handle:
        handle.exec_driver_sql("DELETE FROM raw.salesforce_events")
    assert due_records(scene.database, scene.tenant_id, scene.target.connector_id, scene.stream, LATER) == []
    assert planned(scene) == set()
