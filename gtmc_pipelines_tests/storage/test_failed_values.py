"""Optional values that couldn't be stored: their records are written, they are listed, and leave the list again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.batch import Batch
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.failed_values import list_failed, sums
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.renormalize import RawRewriter, raw_page
from gtmc_pipelines.storage.sweep import new_generation, sweep
from gtmc_pipelines.storage.sweep_parts import parts_of
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, Scene, at, batch_of, record

pytestmark = pytest.mark.services

NAME = MappingEntry("name", "name", required=True)
COUNT = MappingEntry("count", "employeeCount")
FIRST = MappingEntry("count", "employeeCount", Transform.CUSTOM, "split(replace(text(value), ',', ''), '-')[0]")
DOMAIN = MappingEntry("site", "domain")


def mapper(*entries: MappingEntry) -> CompiledMapping:
    return compile_mapping(Entity.ACCOUNT, (NAME, *(entries or (COUNT, DOMAIN))), "accounts")


@pytest.fixture
def scene(database: Database, tenant: str) -> Scene:
    return Scene(database, tenant, ConnectorType.SALESFORCE, "accounts", mappers=(mapper(),))  # type: ignore[arg-type]


def listed(scene: Scene) -> dict[tuple[str, str], str]:
    found = list_failed(scene.database, scene.tenant_id)
    return {(each.external_id, each.column_name): each.reason_code for each in found}


def accounts(scene: Scene) -> dict[str, Any]:
    found = scene.select("SELECT external_id, name, employee_count FROM accounts WHERE deleted_at IS NULL")
    return {row["external_id"]: (row["name"], row["employee_count"]) for row in found}


def rewrite(scene: Scene, *mappers: Any) -> Counts:
    page = raw_page(scene.database, scene.tenant_id, scene.stream, "")
    with RawRewriter(scene.database, scene.target, mappers) as writer:
        return writer.write(Batch(page, None))


def test_the_record_is_written_without_the_value_which_is_listed_and_counted(scene: Scene) -> None:
    wrong = record("a", 1, name="Acme", count="1,000-5,000", site="acme.example")
    assert scene.write(wrong, record("b", 1, name="Bolt", count=7)) == Counts(read=2, created=2)
    assert accounts(scene) == {"a": ("Acme", None), "b": ("Bolt", 7)}
    assert scene.letters() == {}
    (found,) = list_failed(scene.database, scene.tenant_id)
    assert (found.external_id, found.table_name, found.column_name) == ("a", "accounts", "employee_count")
    assert (found.reason_code, found.source_field, found.stream) == ("not_an_integer", "count", "accounts")
    assert "1,000" not in repr(found)
    everywhere = sums(scene.database, connector="salesforce", stream="accounts")
    assert [each.records for each in everywhere if each.tenant_id == scene.tenant_id] == [1]
    (log,) = scene.select("SELECT stream_counts FROM sync_logs")
    assert log["stream_counts"]["accounts"]["failed_values"] == 1


def test_a_value_leaves_the_list_when_it_is_written_or_its_record_is_deleted(scene: Scene) -> None:
    wrong = [record(key, 1, name="Acme", count="many") for key in "abc"]
    scene.write(*wrong)
    assert set(listed(scene)) == {(key, "employee_count") for key in "abc"}
    scene.write(
        record("a", 2, name="Acme", count=9), record("b", 2, deleted=True), record("c", 2, name="Acme", count="x")
    )
    assert listed(scene) == {("c", "employee_count"): "not_an_integer"}
    first_seen = list_failed(scene.database, scene.tenant_id)[0]
    assert first_seen.first_seen_at < first_seen.last_seen_at


def test_an_older_version_changes_nothing_of_the_list(scene: Scene) -> None:
    scene.write(record("a", 5, name="Acme", count="many"))
    scene.write(record("a", 1, name="Acme", count=9))
    assert set(listed(scene)) == {("a", "employee_count")}


def test_it_is_tried_again_when_the_mapping_changes(scene: Scene) -> None:
    scene.write(record("a", 1, name="Acme", count="1,000-5,000"))
    assert rewrite(scene, mapper(FIRST, DOMAIN)) == Counts(read=1, updated=1)
    assert accounts(scene) == {"a": ("Acme", 1000)}
    assert listed(scene) == {}
    assert rewrite(scene, mapper()) == Counts(read=1, updated=1)
    assert set(listed(scene)) == {("a", "employee_count")}


def test_a_column_that_is_mapped_no_more_leaves_the_list(scene: Scene) -> None:
    scene.write(record("a", 1, name="Acme", count="many"))
    entries = [entry.as_dict() for entry in (NAME, DOMAIN)]
    save_mapping(scene.database, scene.tenant_id, scene.target.connector_id, Entity.ACCOUNT, entries)
    assert listed(scene) == {}
    scene.write(record("b", 1, name="Bolt", count="many"))
    with scene.writer(mapper(DOMAIN)) as writer:  # type: ignore[arg-type]
        writer.write(batch_of(record("c", 1, name="Core")))
    assert listed(scene) == {}


def test_what_a_sweep_finds_gone_leaves_the_list(scene: Scene) -> None:
    scene.write(record("a", 1, name="Acme", count="many"), *(record(f"r{n}", 1, name="Bolt") for n in range(9)))
    with scene.database.tenant(scene.tenant_id) as handle:
        generation = new_generation(handle)
    with scene.writer(generation=generation, mark_seen=True) as writer:
        writer.write(batch_of(*(record(f"r{n}", 1, name="Bolt") for n in range(9)), checkpoint=None))
    parts = parts_of(scene.database, scene.target, [""], is_all_known=True)
    assert sweep(scene.database, scene.target, parts).deleted == 1
    assert listed(scene) == {}


@dataclass(frozen=True)
class Choosy(FieldMapper):
    """Only the name is required."""

    table: str = "accounts"
    columns: tuple[str, ...] = ("name", "domain", "industry", "employee_count")

    @property
    def required(self) -> frozenset[str]:
        return frozenset({"name"})


def test_a_value_that_only_postgresql_refuses_costs_itself_too(scene: Scene) -> None:
    records = [record(f"r{n:03}", 1, name="Acme") for n in range(300)]
    for place in (17, 18, 200):
        records[place] = record(f"r{place:03}", 1, name="Acme", industry="Steel", employee_count=99_999_999_999)
    with scene.writer(Choosy()) as writer:
        assert writer.write(batch_of(*records)) == Counts(read=300, created=300)
    assert scene.letters() == {}
    expected = {(f"r{place:03}", "employee_count"): "unstorable" for place in (17, 18, 200)}
    assert listed(scene) == expected
    found = scene.select("SELECT DISTINCT industry FROM accounts WHERE external_id = ANY ('{r017,r018,r200}')")
    assert [row["industry"] for row in found] == ["Steel"]


def test_several_refused_values_of_one_record_cost_themselves(scene: Scene) -> None:
    mapped = Choosy(columns=("name", "employee_count", "annual_revenue", "industry"))
    bad = record("a", 1, name="Acme", industry="Steel", annual_revenue="much", employee_count="lots")
    with scene.writer(mapped) as writer:
        assert writer.write(batch_of(bad, record("b", 1, name="Bolt"))) == Counts(read=2, created=2)
    assert listed(scene) == {("a", "annual_revenue"): "unstorable", ("a", "employee_count"): "unstorable"}
    (row,) = scene.select("SELECT industry FROM accounts WHERE external_id = 'a'")
    assert row["industry"] == "Steel"


def test_a_required_value_that_postgresql_refuses_is_a_dead_letter(scene: Scene) -> None:
    with scene.writer(Choosy()) as writer:
        assert writer.write(batch_of(record("a", 1, name=None, industry="Steel"))) == Counts(read=1, failed=1)
    assert scene.letters() == {"a": "unstorable"}
    assert listed(scene) == {}


@pytest.mark.parametrize(
    "payload",
    [
        rb'{"name": "Acme", "site": "a\u0000b", "count": 3}',
        rb'{"name": "Acme", "site": "\ud83d", "count": 3}',
        rb'{"name": "Acme", "site": "x.example", "other": "a\u0000b", "count": 3}',
        rb'{"name": "Acme", "site": "x.example", "other": [{"k\u0000": "\ud83d"}], "count": 3}',
        rb'{"name": "Acme", "site": "x.example", "other": 1e200000, "count": 3}',
    ],
    ids=["nul", "surrogate", "nul in another field", "deep", "number"],
)
def test_a_record_that_jsonb_refuses_is_written_all_the_same(scene: Scene, payload: bytes) -> None:
    poison = SourceRecord("a", payload, at(1))
    with scene.writer() as writer:
        assert writer.write(batch_of(poison, record("b", 1, name="Bolt", count=4))) == Counts(read=2, created=2)
        assert writer.write(batch_of(poison)) == Counts(read=1, unchanged=1)
    assert accounts(scene) == {"a": ("Acme", 3), "b": ("Bolt", 4)}
    before = set(listed(scene))
    rewrite(scene, mapper())
    assert accounts(scene) == {"a": ("Acme", 3), "b": ("Bolt", 4)}
    assert set(listed(scene)) == before == ({("a", "domain")} if b'"other"' not in payload else set())
