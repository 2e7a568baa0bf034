"""Values and batches that PostgreSQL refuses: what is stored, what is dead-lettered, and the neighbours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, Scene, at, batch_of, record

pytestmark = pytest.mark.services

_NAME = [MappingEntry("first_name", "firstName")]

STORABLE = {
    "emoji": "🦄 in a title 👩‍👩‍👧",
    "right to left": "\u202eשלום مرحبا",
    "turkish": "İstanbul ı",
    "backslashes": r"C:\new\table \N \. \\",
    "tabs and lines": "a\tb\nc\r\nd\x0b",
    "separators": "\x1f\x1e between \x1e\x1f",
    "null marker alone": "\x1e",
    "copy end marker": "\\.",
    "quotes": "'; DROP TABLE people; -- \" {} %s %(x)s $1",
    "empty": "",
    "long": "x" * 1_000_000,
}


@pytest.fixture
def scene(database: Database, tenant: str) -> Scene:
    return Scene(database, tenant)


@pytest.mark.parametrize("text", STORABLE.values(), ids=STORABLE)
def test_any_text_comes_back_exactly_as_it_was(scene: Scene, text: str) -> None:
    assert scene.write(record("a", 1, first_name=text)) == Counts(read=1, created=1)
    assert scene.people() == {"a": text}
    (raw,) = scene.select("SELECT payload FROM raw.salesforce_contacts")
    assert raw["payload"] == {"first_name": text}


@pytest.mark.parametrize("key", ["🦄", "a\tb\n\\N", "'; --", "../../etc", "\x1f", "x" * 1_024], ids=ascii)
def test_any_id_that_fits_is_a_key(scene: Scene, key: str) -> None:
    assert scene.write(record(key, 1, first_name="Ana")) == Counts(read=1, created=1)
    assert scene.write(record(key, 1, first_name="Ana")) == Counts(read=1, unchanged=1)
    assert scene.people() == {key: "Ana"}


@pytest.mark.parametrize("key", ["", "nul\0", "\ud83d", "x" * 1_025, "é" * 600], ids=ascii)
def test_an_id_that_no_table_can_hold_is_dead_lettered_alone(scene: Scene, key: str) -> None:
    assert scene.write(record(key, 1), record("b", 1)) == Counts(read=2, created=1, failed=1)
    assert list(scene.letters().values()) == ["unstorable_id"]


POISON = {
    "a NUL in the payload": rb'{"first_name": "a\u0000b"}',
    "a lone surrogate": rb'{"first_name": "\ud83d"}',
    "a number too large for an integer": b'{"employee_count": 99999999999}',
    "text where a number belongs": b'{"employee_count": "many"}',
}


@pytest.mark.parametrize("payload", POISON.values(), ids=POISON)
def test_one_poisonous_record_costs_itself_and_not_its_neighbours(scene: Scene, payload: bytes) -> None:
    mapper = FieldMapper("accounts", ("name", "employee_count", "domain"))
    payload = payload.replace(b"first_name", b"domain").replace(b"{", b'{"name": "Acme", ', 1)
    records = [record(f"r{n:03}", 1, name="Acme") for n in range(499)]
    records.insert(137, SourceRecord("poison", payload, at(1)))
    with scene.writer(mapper) as writer:
        assert writer.write(batch_of(*records, checkpoint="next")) == Counts(read=500, created=499, failed=1)
        assert writer.write(batch_of(record("after", 1, name="Acme"))) == Counts(read=1, created=1)
    assert scene.letters() == {"poison": "unstorable"}
    (stored,) = scene.select("SELECT count(*) AS n FROM accounts")
    assert stored["n"] == 500
    (letter,) = scene.select("SELECT detail, stage FROM dead_letters")
    assert letter["stage"] == "write"
    assert not {"domain", "many"} & set(letter["detail"].split())


def test_a_value_too_long_for_an_index_costs_its_record_only(scene: Scene) -> None:
    noise = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(20_000))
    assert scene.write(record("a", 1, email=noise), record("b", 1)) == Counts(read=2, created=1, failed=1)
    assert scene.letters() == {"a": "unstorable"}
    raw = scene.select("SELECT external_id, content_hash FROM raw.salesforce_contacts ORDER BY external_id")
    assert raw[0]["external_id"] == "a"
    assert raw[0]["content_hash"] == b""


def test_a_batch_of_nothing_but_poison_ends(scene: Scene) -> None:
    records = [SourceRecord(f"p{n}", rb'{"first_name": "\u0000"}', at(1)) for n in range(100)]
    assert scene.write(*records) == Counts(read=100, failed=100)
    assert len(scene.letters()) == 100


def test_a_poisonous_record_that_was_mended_resolves_its_letter(scene: Scene) -> None:
    scene.write(SourceRecord("a", rb'{"first_name": "\u0000"}', at(1)))
    assert scene.letters() == {"a": "unstorable"}
    assert scene.write(record("a", 2, first_name="Ana")) == Counts(read=1, created=1)
    assert scene.letters() == {}


def test_a_batch_that_fails_three_times_is_dead_lettered_and_the_next_is_written(
    scene: Scene, postgres_url: str
) -> None:
    with scene.writer() as writer, refusing(postgres_url, scene.tenant_id, "cursed", times=99) as tries:
        doomed = batch_of(record("a", 1, first_name="cursed"), record("b", 1, first_name="Bo"), checkpoint="two")
        assert writer.write(doomed) == Counts(read=2, failed=2)
        assert tries() == 3
        assert scene.cursor()["cursor"] == "two"
        assert writer.write(batch_of(record("c", 1, first_name="Carla"), checkpoint="three")) == Counts(
            read=1, created=1
        )
    assert scene.people() == {"c": "Carla"}
    assert scene.letters() == {"a": "batch_failed", "b": "batch_failed"}
    kept = scene.select("SELECT payload, batch_id, detail FROM dead_letters ORDER BY external_id")
    assert kept[0]["payload"] == {"first_name": "cursed"}
    assert kept[0]["batch_id"] == kept[1]["batch_id"]
    assert "P0001" in kept[0]["detail"]
    assert scene.sheet() == Counts(read=3, created=1, failed=2)
    assert scene.write(record("a", 1, first_name="cursed"), record("b", 1, first_name="Bo")).created == 2
    assert scene.letters() == {}


def test_a_batch_that_fails_twice_is_written_the_third_time(scene: Scene, postgres_url: str) -> None:
    with refusing(postgres_url, scene.tenant_id, "cursed", times=2):
        assert scene.write(record("a", 1, first_name="cursed")) == Counts(read=1, created=1)
    assert scene.letters() == {}


@contextmanager
def refusing(url: str, tenant_id: str, name: str, times: int) -> Iterator[Callable[[], int]]:
    """People called `name` of this tenant are refused by a trigger, the first `times` times."""
    suffix = tenant_id.replace("-", "_")
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as superuser:
        superuser.execute(f"""
            CREATE SEQUENCE tries_{suffix}; GRANT USAGE ON SEQUENCE tries_{suffix} TO gtmc_app;
            CREATE FUNCTION refuse_{suffix}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              IF nextval('tries_{suffix}') <= {times} THEN RAISE EXCEPTION 'no % here', NEW.first_name; END IF;
              RETURN NEW; END $$;
            CREATE TRIGGER refuse_{suffix} BEFORE INSERT ON people FOR EACH ROW
              WHEN (NEW.first_name = '{name}' AND NEW.tenant_id = '{tenant_id}')
              EXECUTE FUNCTION refuse_{suffix}()""")

        def tries() -> int:
            found = superuser.execute(f"SELECT last_value FROM tries_{suffix}").fetchone()
            assert found is not None
            return int(found[0])

        try:
            yield tries
        finally:
            superuser.execute(f"""
                DROP TRIGGER refuse_{suffix} ON people; DROP FUNCTION refuse_{suffix}();
                DROP SEQUENCE tries_{suffix}""")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"[" * 600 + b"]" * 600, "too_deep"),
        ('"half \ufdd0"'.encode(), "bad_unicode"),
        ('"\ufdd1"'.encode(), "too_deep"),
        (b'"\xff"', "bad_unicode"),
    ],
    ids=ascii,
)
def test_a_record_nobody_can_read_is_kept_as_far_as_it_can_be(scene: Scene, value: bytes, reason: str) -> None:
    (mapper,) = [compile_mapping(Entity.PERSON, _NAME, "contacts")]
    spoilt = SourceRecord("bad", b'{"first_name":"Ana","x":%s}' % value, at(1))
    with scene.writer(mapper) as writer:
        written = writer.write(batch_of(spoilt, record("good", 1, first_name="Bo")))
    assert written == Counts(read=2, created=1, failed=1)
    (letter,) = scene.select("SELECT external_id, reason_code, payload FROM dead_letters")
    assert letter["external_id"] == "bad"
    assert letter["reason_code"] in (reason, "unstorable")
    (raw,) = scene.select("SELECT payload FROM raw.salesforce_contacts WHERE external_id = 'bad'") or [letter]
    assert "Ana" in str(raw["payload"]) or "base64" in str(raw["payload"])
