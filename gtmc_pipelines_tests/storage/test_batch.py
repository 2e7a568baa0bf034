"""Writing batches: what is created, updated, left alone, deleted; older versions, crashes, fences, tenants."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import RejectedRecord
from gtmc_pipelines.storage import bookkeeping, leases
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, Scene, at, batch_of, record

pytestmark = pytest.mark.services


@pytest.fixture
def scene(database: Database, tenant: str) -> Scene:
    return Scene(database, tenant)


def test_new_records_are_created_and_the_same_batch_again_changes_nothing(scene: Scene) -> None:
    records = [record(f"c{n}", n, first_name=f"Ana {n}") for n in range(50)]
    assert scene.write(*records) == Counts(read=50, created=50)
    before = scene.select("SELECT *, xmin::text AS version FROM people ORDER BY id")
    assert scene.write(*records) == Counts(read=50, unchanged=50)
    assert scene.select("SELECT *, xmin::text AS version FROM people ORDER BY id") == before
    assert scene.sheet() == Counts(read=100, created=50, unchanged=50)


def test_an_older_record_never_overwrites_a_newer_one(scene: Scene) -> None:
    scene.write(record("a", 10, first_name="new"), record("b", 10, first_name="kept"))
    assert scene.write(record("a", 5, first_name="old"), record("b", 11, first_name="newer")) == Counts(
        read=2, updated=1, skipped=1
    )
    assert scene.people() == {"a": "new", "b": "newer"}
    (raw,) = scene.select("SELECT payload FROM raw.salesforce_contacts WHERE external_id = 'a'")
    assert raw["payload"] == {"first_name": "new"}


def test_an_older_deletion_or_reject_leaves_the_newer_record_alone(scene: Scene) -> None:
    scene.write(record("a", 10, first_name="new"), record("b", 10, first_name="kept"))
    counts = scene.write(record("a", 5, deleted=True), record("b", 5, reject=True))
    assert counts == Counts(read=2, skipped=2)
    assert scene.people() == {"a": "new", "b": "kept"}
    assert scene.letters() == {}


def test_a_version_seen_again_with_a_newer_stamp_still_outranks_what_lies_between(scene: Scene) -> None:
    scene.write(record("a", 1, first_name="Ana"))
    scene.write(record("a", 3, first_name="Ana"))
    assert scene.write(record("a", 2, first_name="between")) == Counts(read=1, skipped=1)
    assert scene.people() == {"a": "Ana"}


def test_within_a_batch_the_newest_version_wins_and_the_last_on_ties(scene: Scene) -> None:
    counts = scene.write(
        record("a", 2, first_name="newest"),
        record("a", 1, first_name="older"),
        record("b", 1, first_name="first"),
        record("b", 1, first_name="last"),
    )
    assert counts == Counts(read=4, created=2, skipped=2)
    assert scene.people() == {"a": "newest", "b": "last"}


def test_a_deleted_record_stays_as_a_row_and_comes_back_when_undeleted(scene: Scene) -> None:
    scene.write(record("a", 1, first_name="Ana"))
    assert scene.write(record("a", 2, deleted=True, first_name="Ana")) == Counts(read=1, deleted=1)
    (row,) = scene.select("SELECT first_name, deleted_at FROM people")
    assert row == {"first_name": "Ana", "deleted_at": at(2)}
    assert scene.write(record("a", 2, deleted=True, first_name="Ana")) == Counts(read=1, unchanged=1)
    assert scene.write(record("a", 3, deleted=True, first_name="Ana")) == Counts(read=1, unchanged=1)
    assert scene.write(record("a", 4, first_name="Ana")) == Counts(read=1, updated=1)
    assert scene.people() == {"a": "Ana"}


def test_the_deletion_of_something_never_stored_is_skipped_and_keeps_no_data_of_it(scene: Scene) -> None:
    assert scene.write(record("a", 5, deleted=True, first_name="Ana")) == Counts(read=1, skipped=1)
    (raw,) = scene.select("SELECT payload, deleted FROM raw.salesforce_contacts")
    assert raw == {"payload": {}, "deleted": True}
    assert scene.write(record("a", 3, first_name="Ana")) == Counts(read=1, skipped=1)
    assert scene.write(record("a", 6, first_name="Ana")) == Counts(read=1, created=1)


def test_records_without_a_change_time_are_compared_by_content_alone(scene: Scene) -> None:
    scene.write(record("a", None, first_name="one"))
    assert scene.write(record("a", None, first_name="one")) == Counts(read=1, unchanged=1)
    assert scene.write(record("a", None, first_name="two")) == Counts(read=1, updated=1)
    scene.write(record("a", 5, first_name="three"))
    scene.write(record("a", None, first_name="four"))
    assert scene.write(record("a", 4, first_name="old")) == Counts(read=1, skipped=1)
    assert scene.people() == {"a": "four"}


def test_a_changed_mapping_is_applied_to_records_that_have_not_changed(scene: Scene) -> None:
    records = [record(f"c{n}", 1, first_name="Ana", title="CTO") for n in range(3)]
    scene.write(*records)
    with scene.writer(FieldMapper(columns=("first_name",), fingerprint=b"two")) as writer:
        assert writer.write(batch_of(*records)) == Counts(read=3, updated=3)
    assert {row["title"] for row in scene.select("SELECT title FROM people")} == {None}
    with scene.writer(FieldMapper(columns=("first_name", "last_name"), fingerprint=b"three")) as writer:
        changed = [record(f"c{n}", 1, first_name="Ana", last_name="Silva") for n in range(3)]
        assert writer.write(batch_of(*changed)) == Counts(read=3, updated=3)


def test_a_rejected_record_is_landed_dead_lettered_and_tried_again_at_every_read(scene: Scene) -> None:
    good = record("a", 1, first_name="Ana")
    scene.write(good)
    bad = record("a", 2, first_name="Bo", reject=True)
    assert scene.write(bad, record("b", 1, first_name="neighbour")) == Counts(read=2, created=1, failed=1)
    assert scene.people() == {"a": "Ana", "b": "neighbour"}
    assert scene.letters() == {"a": "bad_type"}
    assert scene.write(bad) == Counts(read=1, failed=1)
    (letter,) = scene.select("SELECT stage, detail, payload, attempts FROM dead_letters")
    assert letter == {"stage": "map", "detail": "field reject", "payload": None, "attempts": 2}
    assert scene.write(record("a", 3, first_name="Carla")) == Counts(read=1, updated=1)
    assert scene.letters() == {}
    assert scene.letters(are_open=False) == {"a": "bad_type"}


def test_rejects_of_the_connector_and_left_out_records_are_on_the_sheet(scene: Scene) -> None:
    rejects = [RejectedRecord(None, "missing_id", "no Id"), RejectedRecord("x", "not_an_object", "a list")]
    assert scene.write(record("a", 1), rejects=rejects, skipped=4) == Counts(read=7, created=1, failed=2, skipped=4)
    letters = scene.letters()
    assert letters.pop("x") == "not_an_object"
    assert list(letters.values()) == ["missing_id"]


def test_checkpoint_and_watermark_are_kept_with_the_rows(scene: Scene) -> None:
    scene.write(record("a", 1), checkpoint="page-2")
    cursor = scene.cursor()
    assert (cursor["cursor"], cursor["mode"], cursor["watermark"]) == ("page-2", SyncMode.FULL, None)
    scene.write(record("b", 1), checkpoint=None, watermark="2026-01-01")
    cursor = scene.cursor()
    assert (cursor["cursor"], cursor["mode"], cursor["until"]) == (None, None, None)
    assert cursor["watermark"] == "2026-01-01"
    scene.write(checkpoint="later")
    assert scene.cursor()["watermark"] == "2026-01-01"


def test_a_crash_before_commit_leaves_neither_rows_nor_checkpoint(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with scene.writer() as writer:
        writer.write(batch_of(record("a", 1, first_name="Ana"), checkpoint="one"))
        monkeypatch.setattr(bookkeeping, "close", crash)
        with pytest.raises(KeyboardInterrupt):
            writer.write(batch_of(record("b", 1), checkpoint="two"))
    assert scene.people() == {"a": "Ana"}
    assert scene.cursor()["cursor"] == "one"
    assert scene.sheet() == Counts(read=1, created=1)
    assert scene.select("SELECT external_id FROM raw.salesforce_contacts") == [{"external_id": "a"}]


def test_a_writer_that_lost_its_fence_is_refused_and_writes_nothing(scene: Scene) -> None:
    with scene.writer() as writer:
        writer.write(batch_of(record("a", 1, first_name="Ana")))
        with scene.database.tenant(scene.tenant_id) as handle:
            leases.take(handle, scene.tenant_id, scene.target.connector_id, "run-2", "w", dead_run="run-1")
        with pytest.raises(Broken) as lost:
            writer.write(batch_of(record("b", 1)))
    assert lost.value.code == "lease_lost"
    assert scene.people() == {"a": "Ana"}
    assert scene.letters() == {}


def test_the_writer_of_one_tenant_cannot_touch_another(database: Database, scene: Scene) -> None:
    other_id = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, other_id, "Other")
    other = Scene(database, other_id)
    scene.write(record("a", 1, first_name="mine"))
    other.write(record("a", 2, first_name="theirs"))
    assert scene.people() == {"a": "mine"}
    assert other.people() == {"a": "theirs"}
    with (
        scene.writer(connector_id=other.target.connector_id) as writer,
        pytest.raises(Broken, match="taken over"),
    ):
        writer.write(batch_of(record("b", 1)))


def test_an_unreachable_database_is_nobodys_bad_record(scene: Scene) -> None:
    nowhere = Database("postgresql://postgres@127.0.0.1:1/nothing")
    with BatchWriter(nowhere, scene.target, scene.mappers) as writer, pytest.raises(Retry) as refusal:
        writer.write(batch_of(record("a", 1)))
    assert refusal.value.code == "database_unreachable"
    assert scene.letters() == {}


def test_a_connection_cut_between_batches_is_made_again(scene: Scene, postgres_url: str) -> None:
    with scene.writer() as writer:
        writer.write(batch_of(record("a", 1, first_name="Ana")))
        with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as superuser:
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s",
                (writer._connected().info.backend_pid,),
            )
        assert writer.write(batch_of(record("b", 1, first_name="Bo"))) == Counts(read=1, created=1)
    assert scene.people() == {"a": "Ana", "b": "Bo"}


def test_a_commit_whose_answer_was_lost_is_not_written_or_counted_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = psycopg.Transaction._commit_gen
    lost: list[bool] = []

    def lose_the_answer(transaction: Any) -> Any:
        yield from real(transaction)
        if transaction._outer_transaction and bookkeeping_is_done(transaction) and not lost:
            lost.append(True)
            transaction.connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def bookkeeping_is_done(_: Any) -> bool:
        return scene.select("SELECT FROM stream_cursors") != []

    monkeypatch.setattr(psycopg.Transaction, "_commit_gen", lose_the_answer)
    assert scene.write(record("a", 1, first_name="Ana")) == Counts(read=1, created=1)
    assert lost
    assert scene.sheet() == Counts(read=1, created=1)


def test_a_stream_with_two_entities_writes_both_and_counts_the_first(database: Database, tenant: str) -> None:
    meeting = FieldMapper("fathom_meetings", ("fathom_meeting_id", "occurred_at"), b"m")
    activity = FieldMapper("activities", ("type", "channel", "occurred_at"), b"a", external_id_prefix="fathom_")
    scene = Scene(database, tenant, ConnectorType.FATHOM, "meetings", (meeting, activity))
    moment = "2026-01-01T00:00:00Z"
    first = record("7", 1, fathom_meeting_id="7", type="meeting_recorded", channel="meeting", occurred_at=moment)
    assert scene.write(first) == Counts(read=1, created=1)
    assert scene.select("SELECT external_id FROM activities") == [{"external_id": "fathom_7"}]
    assert scene.select("SELECT external_id FROM fathom_meetings") == [{"external_id": "7"}]
    assert scene.write(record("7", 2, deleted=True)) == Counts(read=1, deleted=1)
    assert scene.select("SELECT external_id FROM activities WHERE deleted_at IS NULL") == []


def test_the_account_of_a_person_is_known_before_the_account_arrives(scene: Scene) -> None:
    scene.write(record("p", 1, account_external_id="001"), record("q", 1))
    accounts = stream_of(ConnectorType.SALESFORCE, "accounts")
    with scene.writer(FieldMapper("accounts", ("name",)), stream=accounts) as writer:
        writer.write(batch_of(record("001", 1, name="Acme")))
    (account,) = scene.select("SELECT id FROM accounts")
    assert scene.people("account_id") == {"p": account["id"], "q": None}
