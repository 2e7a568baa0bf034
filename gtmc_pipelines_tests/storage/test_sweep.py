"""The sweep: what a complete full read did not see is deleted, within a ceiling, and can come back."""

from __future__ import annotations

import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import RejectedRecord
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sweep import SweepResult, new_generation, sweep
from gtmc_pipelines.storage.sweep_parts import parts_of
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, Scene, batch_of, record

pytestmark = pytest.mark.services

MAPPER = FieldMapper(columns=("first_name",))


@pytest.fixture
def scene(database: Database, tenant: str) -> Scene:
    """Ten people of Customer.io, whose deletions only a sweep can find."""
    scene = Scene(database, tenant, ConnectorType.CUSTOMERIO, "people", (MAPPER,))
    scene.write(*(record(f"p{n}", 1, first_name=f"Ana {n}") for n in range(10)))
    return scene


def begin_full_read(scene: Scene) -> int:
    with scene.database.tenant(scene.tenant_id) as handle:
        return new_generation(handle)


def read_fully(scene: Scene, *keys: str, generation: int | None = None, changed: str = "") -> int:
    generation = begin_full_read(scene) if generation is None else generation
    with scene.writer(generation=generation, mark_seen=True) as writer:
        for key in keys:
            name = "changed" if key == changed else f"Ana {key[1:]}"
            writer.write(batch_of(record(key, 1, first_name=name)))
        writer.write(batch_of(checkpoint=None))
    return generation


def swept(scene: Scene, ceiling: float = 0.2) -> SweepResult:
    parts = parts_of(scene.database, scene.target, [""], is_all_known=True)
    return sweep(scene.database, scene.target, parts, ceiling=ceiling)


def test_what_a_full_read_did_not_see_is_deleted_softly_and_stays_on_the_sheet(scene: Scene) -> None:
    read_fully(scene, *(f"p{n}" for n in range(8)), changed="p3")
    assert swept(scene) == SweepResult(stored=10, missing=2, deleted=2)
    assert set(scene.people()) == {f"p{n}" for n in range(8)}
    assert len(scene.select("SELECT FROM people")) == 10
    assert scene.sheet() == Counts(read=20, created=10, updated=1, unchanged=7, deleted=2)
    assert scene.sheet().is_balanced


def test_a_sweep_repeated_by_a_retry_deletes_nothing_more(scene: Scene) -> None:
    read_fully(scene, *(f"p{n}" for n in range(9)), changed="p3")
    assert swept(scene).deleted == 1
    assert swept(scene, ceiling=1.0) == SweepResult(stored=9, missing=0)
    assert scene.select("SELECT FROM sweep_marks") == []
    assert len(scene.people()) == 9


def test_a_swept_record_that_returns_exactly_as_it_was_comes_back_to_life(scene: Scene) -> None:
    read_fully(scene, *(f"p{n}" for n in range(9)))
    swept(scene)
    assert "p9" not in scene.people()
    read_fully(scene, "p9")
    assert scene.people()["p9"] == "Ana 9"


def test_a_sweep_above_the_ceiling_waits_for_a_confirmation(scene: Scene) -> None:
    read_fully(scene, *(f"p{n}" for n in range(7)))
    result = swept(scene)
    assert (result.is_refused, result.stored, result.missing, result.deleted) == (True, 10, 3, 0)
    assert "3 of 10" in result.refusal
    assert len(scene.people()) == 10
    assert swept(scene, ceiling=1.0).deleted == 3


def test_a_read_that_saw_nothing_deletes_nothing_until_a_person_says_so(scene: Scene) -> None:
    read_fully(scene)
    assert "none of the 10" in swept(scene).refusal
    assert len(scene.people()) == 10
    assert swept(scene, ceiling=1.0).deleted == 10


def test_a_full_read_that_goes_on_in_another_sync_remembers_what_the_first_part_saw(scene: Scene) -> None:
    generation = read_fully(scene, "p0", "p1", "p2", "p3", changed="p2")
    read_fully(scene, *(f"p{n}" for n in range(4, 10)), generation=generation)
    assert swept(scene) == SweepResult(stored=10, missing=0)


def test_a_record_that_failed_was_seen_all_the_same(scene: Scene) -> None:
    generation = read_fully(scene, *(f"p{n}" for n in range(1, 10)))
    with scene.writer(generation=generation, mark_seen=True) as writer:
        assert writer.write(batch_of(record("p0", 2, reject=True))).failed == 1
    assert swept(scene).missing == 0


def test_a_record_the_connector_rejected_was_seen_all_the_same(scene: Scene) -> None:
    generation = read_fully(scene, *(f"p{n}" for n in range(1, 10)))
    with scene.writer(generation=generation, mark_seen=True) as writer:
        writer.write(batch_of(rejects=[RejectedRecord("p0", "malformed_record", "")]))
    assert swept(scene).missing == 0


def test_a_record_that_was_older_was_seen_all_the_same(scene: Scene) -> None:
    generation = read_fully(scene, *(f"p{n}" for n in range(1, 10)))
    with scene.writer(generation=generation, mark_seen=True) as writer:
        assert writer.write(batch_of(record("p0", 0, first_name="older"))).skipped == 1
    assert swept(scene).missing == 0


def test_a_sweep_without_the_lease_is_refused(scene: Scene) -> None:
    read_fully(scene, *(f"p{n}" for n in range(8)))
    with scene.database.tenant(scene.tenant_id) as handle:
        leases.take(handle, scene.tenant_id, scene.target.connector_id, "run-2", "w", dead_run="run-1")
    with pytest.raises(Broken, match="taken over"):
        swept(scene)
    assert len(scene.people()) == 10


def test_a_stream_with_two_entities_loses_both_rows(database: Database, tenant: str) -> None:
    meeting = FieldMapper("fathom_meetings", ("fathom_meeting_id", "occurred_at"))
    activity = FieldMapper("activities", ("type", "channel", "occurred_at"), external_id_prefix="fathom_")
    scene = Scene(database, tenant, ConnectorType.FATHOM, "meetings", (meeting, activity))
    moment = "2026-01-01T00:00:00Z"
    records = [
        record(f"{n}", 1, fathom_meeting_id=f"{n}", type="meeting_recorded", channel="meeting", occurred_at=moment)
        for n in range(5)
    ]
    scene.write(*records)
    generation = begin_full_read(scene)
    with scene.writer(generation=generation, mark_seen=True) as writer:
        writer.write(batch_of(*records[:4], checkpoint=None))
    parts = parts_of(database, scene.target, [""], is_all_known=True)
    result = sweep(database, scene.target, parts, ("", "fathom_"))
    assert result == SweepResult(stored=5, missing=1, deleted=1)
    assert len(scene.select("SELECT FROM activities WHERE deleted_at IS NOT NULL")) == 1
    assert scene.select("SELECT external_id FROM fathom_meetings WHERE deleted_at IS NOT NULL") == [
        {"external_id": "4"}
    ]
