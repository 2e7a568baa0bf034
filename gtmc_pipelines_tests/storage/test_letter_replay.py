"""Dead letters tried again: what is written, what stays a letter, and what never overwrites anything."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.model.records import RejectedRecord, SourceRecord
from gtmc_pipelines.storage import sync_logs
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.dead_letters import NewLetter, upsert_letters
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.letter_replay import LetterBatch, LetterReplay, streams_waiting, waiting_records
from gtmc_pipelines.storage.renormalize import RawRewriter, raw_page
from gtmc_pipelines.storage.sweep import new_generation, sweep
from gtmc_pipelines.storage.sweep_parts import parts_of
from gtmc_pipelines_tests.storage.test_batch_refusals import refusing
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, Scene, at, batch_of, record

pytestmark = pytest.mark.services


@dataclass(frozen=True)
class Lenient(FieldMapper):
    """The mapping after it was corrected: nothing is refused."""

    def texts(self, payload: bytes) -> Sequence[str | None]:
        return super().texts(payload.replace(b'"reject": true', b'"reject": false'))


@pytest.fixture
def scene(database: Database, tenant: str) -> Scene:
    return Scene(database, tenant)


def again(scene: Scene, *mappers: FieldMapper, letters: tuple[int, ...] = (), **options: Any) -> Counts:
    """Everything that waits, tried in the name of a new sync; its sheet."""
    target = later(scene)
    with LetterReplay(scene.database, target, mappers or scene.mappers) as writer:
        for _ in range(10):
            waiting = waiting_records(scene.database, target, letters, limit=2)
            if not waiting.total:
                break
            writer.write(LetterBatch(waiting.of_raw, None, gone=waiting.gone, **options))
            writer.write(LetterBatch(waiting.kept, None, is_kept=True, **options))
        else:
            pytest.fail("a letter was tried more than once")
    (row,) = scene.select("SELECT * FROM sync_logs WHERE id = %(id)s", id=target.sync_log_id)
    return Counts(**{name: row[f"records_{name}"] for name in Counts().as_dict()})


def later(scene: Scene) -> BatchTarget:
    """The target of a sync that begins now."""
    with scene.database.tenant(scene.tenant_id) as handle:
        log = sync_logs.open_sync_log(
            handle,
            scene.tenant_id,
            scene.target.connector_id,
            mode=SyncMode.INCREMENTAL,
            workflow_id="again",
            workflow_run_id=uuid.uuid4().hex,
            trigger=Trigger.REPLAY,
        )
    return replace(scene.target, sync_log_id=log)


def letters(scene: Scene) -> dict[tuple[str, str], tuple[int, str | None]]:
    """Attempts and resolution of every letter by record and stage."""
    found = scene.select("SELECT external_id, stage, attempts, resolution FROM dead_letters")
    return {(each["external_id"], each["stage"]): (each["attempts"], each["resolution"]) for each in found}


def failed_batch(scene: Scene, postgres_url: str, *records: SourceRecord) -> None:
    """A batch that was dead-lettered whole; one of its records is called `cursed`."""
    with refusing(postgres_url, scene.tenant_id, "cursed", times=99):
        assert scene.write(*records).failed == len(records)


def test_a_record_its_mapping_refused_is_written_once_the_mapping_takes_it(scene: Scene) -> None:
    scene.write(*(record(key, 1, first_name=key.upper(), reject=True) for key in "abc"), record("d", 1))
    before = scene.select("SELECT * FROM raw.salesforce_contacts ORDER BY external_id")
    assert again(scene, Lenient()) == Counts(read=3, created=3)
    assert scene.people()["c"] == "C"
    assert set(letters(scene).values()) == {(1, "written")}
    assert scene.select("SELECT * FROM raw.salesforce_contacts ORDER BY external_id") == before
    assert again(scene, Lenient()) == Counts()


def test_a_record_that_fails_again_is_the_same_letter_counted_up(scene: Scene) -> None:
    scene.write(record("a", 1, reject=True), record("b", 1, reject=True), record("c", 1, reject=True))
    assert again(scene) == Counts(read=3, failed=3)
    assert letters(scene) == {(key, "map"): (2, None) for key in "abc"}


def test_what_a_sync_tries_in_passing_and_fails_again_is_not_on_its_sheet(scene: Scene) -> None:
    scene.write(record("a", 1, reject=True), record("b", 1, reject=True))
    scene.write(record("b", 2, first_name="Bo", reject=False))
    assert again(scene, is_of_sync=True) == Counts()
    assert letters(scene) == {("a", "map"): (2, None), ("b", "map"): (1, "written")}


def test_a_batch_that_failed_is_written_from_its_letters(scene: Scene, postgres_url: str) -> None:
    scene.write(record("gone", 1, first_name="Gil"), record("old", 1, first_name="Ola"))
    records = [
        record("a", 5, first_name="cursed"),
        record("old", 5, first_name="Olaf"),
        record("gone", 5, deleted=True),
    ]
    failed_batch(scene, postgres_url, *records, record("never", 5, deleted=True, email="x@y.test"))
    assert streams_of(scene) == {"contacts"}
    assert again(scene) == Counts(read=4, created=1, updated=1, deleted=1, skipped=1)
    assert scene.people("first_name", "source_updated_at") == {"a": ("cursed", at(5)), "old": ("Olaf", at(5))}
    raw = scene.select("SELECT external_id, payload, deleted, content_hash FROM raw.salesforce_contacts")
    stored = {each["external_id"]: (each["payload"], each["deleted"]) for each in raw}
    assert stored["old"] == ({"first_name": "Olaf"}, False)
    assert stored["never"] == ({}, True), "of a deletion nothing is kept but that it is one"
    assert streams_of(scene) == set()
    assert scene.write(*records[:2]) == Counts(read=2, unchanged=2), "the vendor's own bytes, once more"
    assert {each["content_hash"] for each in raw if each["external_id"] in ("a", "old")} == {b""}


def streams_of(scene: Scene) -> set[str]:
    with scene.database.tenant(scene.tenant_id) as handle:
        return set(streams_waiting(handle, scene.tenant_id, scene.target.connector_id))


def test_an_older_record_in_a_letter_never_overwrites_a_newer_row(scene: Scene, postgres_url: str) -> None:
    scene.write(record("a", 9, first_name="New"))
    failed_batch(scene, postgres_url, record("a", 5, first_name="Old"), record("b", 5, first_name="cursed"))
    assert again(scene) == Counts(read=2, created=1, skipped=1)
    assert scene.people() == {"a": "New", "b": "cursed"}
    assert letters(scene) == {("a", "write"): (1, "superseded"), ("b", "write"): (1, "written")}


def test_a_letter_gives_way_to_a_version_landed_since_even_without_change_times(
    scene: Scene, postgres_url: str
) -> None:
    failed_batch(scene, postgres_url, record("a", None, first_name="cursed"))
    scene.write(record("a", None, first_name="Later", reject=True))
    assert again(scene, Lenient()) == Counts(read=1, created=1)
    assert scene.people() == {"a": "Later"}
    assert letters(scene) == {("a", "write"): (1, "superseded"), ("a", "map"): (1, "written")}


def test_a_letter_newer_than_a_rejected_row_settles_both(scene: Scene, postgres_url: str) -> None:
    scene.write(record("a", None, first_name="Early", reject=True))
    failed_batch(scene, postgres_url, record("a", None, first_name="cursed"))
    assert again(scene) == Counts(read=1, created=1)
    assert scene.people() == {"a": "cursed"}
    assert set(letters(scene).values()) == {(1, "written")}


def test_a_record_in_a_letter_that_is_refused_by_its_mapping_stays_the_same_letter(
    scene: Scene, postgres_url: str
) -> None:
    failed_batch(
        scene, postgres_url, record("a", 1, first_name="cursed", reject=True), record("b", 1, first_name="cursed")
    )
    (before,) = scene.select("SELECT id, first_seen_at FROM dead_letters WHERE external_id = 'a'")
    assert again(scene) == Counts(read=2, created=1, failed=1)
    (after,) = scene.select("SELECT * FROM dead_letters WHERE external_id = 'a'")
    assert (after["id"], after["first_seen_at"]) == (before["id"], before["first_seen_at"])
    assert (after["stage"], after["reason_code"], after["attempts"], after["payload"]) == ("map", "bad_type", 2, None)
    assert again(scene, Lenient()) == Counts(read=1, created=1), "it is landed now"


def test_a_record_that_a_sweep_found_gone_does_not_come_back(scene: Scene, postgres_url: str) -> None:
    scene.write(record("a", 1, first_name="Ann"), record("b", 1), record("c", 1), record("d", 1), record("e", 1))
    failed_batch(scene, postgres_url, record("a", 5, first_name="cursed"))
    with scene.database.tenant(scene.tenant_id) as handle:
        generation = new_generation(handle)
    with scene.writer(generation=generation, mark_seen=True) as writer:
        writer.write(batch_of(*(record(key, 1) for key in "bcde"), checkpoint=None))
    parts = parts_of(scene.database, scene.target, [""], is_all_known=True)
    assert sweep(scene.database, scene.target, parts).deleted == 1
    assert again(scene).created == 0
    assert sorted(scene.people()) == ["b", "c", "d", "e"]
    assert letters(scene) == {("a", "write"): (1, "superseded")}


def test_bytes_that_jsonb_refuses_are_kept_as_they_were_through_every_attempt(scene: Scene) -> None:
    payloads = {"nul": rb'{"first_name": "a\u0000b"}', "both": rb'{"first_name": "A\u0000", "other": 1e200000}'}
    scene.write(*(SourceRecord(key, payload, at(1)) for key, payload in payloads.items()))
    for attempts in (2, 3):
        assert again(scene) == Counts(read=2, failed=2)
        assert set(letters(scene).values()) == {(attempts, None)}
    waiting = waiting_records(scene.database, later(scene))
    assert {each.external_id: each.payload for each in waiting.kept} == payloads


def test_a_batch_refused_three_times_more_keeps_its_records(scene: Scene, postgres_url: str) -> None:
    records = [record("a", 5, first_name="cursed"), record("b", 5, first_name="Bo")]
    failed_batch(scene, postgres_url, *records)
    with refusing(postgres_url, scene.tenant_id, "cursed", times=99) as tries:
        assert again(scene) == Counts(read=2, failed=2)
        assert tries() == 3
    assert set(letters(scene).values()) == {(2, None)}
    assert again(scene) == Counts(read=2, created=2)


def test_a_page_that_a_worker_taken_for_dead_has_written_is_not_counted_twice(scene: Scene) -> None:
    scene.write(record("a", 1, first_name="Ann", reject=True), record("b", 1, first_name="Bo", reject=True))
    target = later(scene)
    page = LetterBatch(waiting_records(scene.database, target).of_raw, None)
    with (
        LetterReplay(scene.database, target, [Lenient()]) as dead,
        LetterReplay(scene.database, target, [FieldMapper()]) as alive,
    ):
        assert dead.write(page) == Counts(read=2, created=2)
        assert alive.write(page) == Counts()
    assert set(letters(scene).values()) == {(1, "written")}


def test_only_the_letters_named_are_tried(scene: Scene) -> None:
    scene.write(*(record(key, 1, first_name=key, reject=True) for key in "abcde"))
    ids = [each["id"] for each in scene.select("SELECT id FROM dead_letters WHERE external_id IN ('b', 'd')")]
    assert again(scene, Lenient(), letters=tuple(ids)) == Counts(read=2, created=2)
    assert sorted(scene.people()) == ["b", "d"]


def test_what_is_not_held_waits_for_the_vendor(scene: Scene) -> None:
    scene.write(record("x" * 2_000, 1), record("a", 1), rejects=[RejectedRecord("a", "malformed_record", "Odd.")])
    assert streams_of(scene) == set()
    with scene.database.tenant(scene.tenant_id) as handle:
        upsert_letters(
            handle, scene.tenant_id, scene.target.connector_id, "contacts", [NewLetter("lost", "map", "odd", "")]
        )
    assert again(scene) == Counts()
    assert sorted(scene.letters().values()) == ["malformed_record", "unstorable_id"]
    assert letters(scene)["lost", "map"] == (1, "gone"), "its raw row was erased"


def test_renormalising_leaves_a_newer_record_in_its_letter(scene: Scene, postgres_url: str) -> None:
    scene.write(record("a", 1, first_name="Early"), record("b", 1, first_name="Bo"))
    failed_batch(scene, postgres_url, record("a", 5, first_name="cursed"), record("b", 5, first_name="Bob"))
    long = FieldMapper(columns=("first_name", "email"), fingerprint=b"two")
    with RawRewriter(scene.database, scene.target, [long]) as writer:
        page = raw_page(scene.database, scene.tenant_id, scene.stream, "")
        assert writer.write(batch_of(*page, checkpoint=None)).read == 2
    assert scene.letters() == {"a": "batch_failed", "b": "batch_failed"}
    with RawRewriter(scene.database, scene.target, [long]) as writer:
        doomed = [replace(each, payload=b'{"first_name": "a\\u0000"}') for each in page]
        assert writer.write(batch_of(*doomed, checkpoint=None)).failed == 2
    assert again(scene) == Counts(read=2, updated=2)
    assert scene.people() == {"a": "cursed", "b": "Bob"}
