"""`gtmc mappings preview|apply`: what would change is what changes, whatever happens in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from gtmc_pipelines.cli import in_turn, mappings_preview
from gtmc_pipelines.cli.sync_views import watch
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage import renormalize as pages
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.workflows.activities import renormalize
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene, custom
from gtmc_pipelines_tests.workflows.scripted import Gate

pytestmark = pytest.mark.services

_SPOIL = """UPDATE field_mappings SET mappings = '["no entry"]' WHERE tenant_id = %(tenant)s"""


def _pages_of(most: int) -> Callable[[Database, str, Stream, str], list[SourceRecord]]:
    """Small pages of raw rows, so that a few records make several."""
    return lambda database, tenant, stream, after: pages.raw_page(database, tenant, stream, after, most)


def _set(scene: MappingScene, **changes: Any) -> None:
    scene.done("set", "--entity", "person", "--file", scene.file(scene.person(**changes)))


def test_preview_shows_only_the_columns_that_differ_old_beside_new(working: MappingScene) -> None:
    working.land(3)
    working.asked("apply")
    file = working.file(working.person(title=custom("upper(value)")))
    found = working.asked("preview", "--entity", "person", "--file", file, "--limit", "2")
    assert (found["read"], found["updated"], found["unchanged"]) == (3, 3, 0)
    assert found["columns"] == {"title": 3}
    assert [(each["external_id"], each["old"], each["new"]) for each in found["changes"]] == [
        ("00300000", {"title": "cto"}, {"title": "CTO"}),
        ("00300001", {"title": "cto"}, {"title": "CTO"}),
    ]
    table = working.done("preview", "--entity", "person", "--file", file, "--limit", "2").stdout
    assert "2 of 3 rows that would change" in table
    assert "title (3)" in table
    assert {row["title"] for row in working.people().values()} == {"cto"}


def test_preview_masks_people_unless_told_otherwise(mapped: MappingScene) -> None:
    mapped.land(1, Email="kim@example.com", Phone="+47 555 0101", FirstName="Kimberley")
    file = mapped.file(mapped.person(title={"sourceField": "LastName"}))
    for arguments in ((), ("--json",)):
        text = mapped.done("preview", "--entity", "person", "--file", file, *arguments).output
        assert not any(private in text for private in ("kim@", "555", "Kimberley", "Silva0"))
    shown = mapped.done("preview", "--entity", "person", "--file", file, "--unmasked").output
    assert all(private in shown for private in ("kim@example.com", "Kimberley", "Silva0"))


def test_a_difference_that_the_mask_hides_is_still_seen_as_one(working: MappingScene) -> None:
    working.land(1, FirstName="Kimberley")
    working.asked("apply")
    working.land(1, FirstName="Kimball")
    shown = working.done("preview", "--entity", "person").stdout
    assert "K••• (masked)" in shown


def test_preview_counts_what_would_be_rejected_and_says_why(mapped: MappingScene) -> None:
    mapped.land(4)
    file = mapped.file(mapped.person(title={"sourceField": "Nothing__c", "required": True}))
    found = mapped.asked("preview", "--entity", "person", "--file", file)
    assert found["rejected"] == 4
    assert found["rejects"] == [{"code": "required_missing", "field": "Nothing__c", "rows": 4}]
    assert "is required and empty" in mapped.done("preview", "--entity", "person", "--file", file).stdout


@pytest.mark.parametrize(
    "expression",
    ["value.__class__.__mro__", "join([1].map(i, concat(value, value)), value)[5]", "replace(value, 'x', value)"],
)
def test_a_hostile_expression_that_reads_well_is_cut_for_each_record(mapped: MappingScene, expression: str) -> None:
    mapped.land(2, Title="x" * 100_000)
    file = mapped.file(mapped.person(title=custom(expression)))
    found = mapped.asked("preview", "--entity", "person", "--file", file)
    assert found["rejects"] == []
    assert found["failed_values"] == [{"column": "title", "code": "custom_transform", "field": "Title", "rows": 2}]


def test_preview_goes_through_all_pages_and_changes_nothing(
    mapped: MappingScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappings_preview, "PAGE_RECORDS", 3)
    monkeypatch.setattr(mappings_preview, "raw_page", _pages_of(3))
    mapped.land(10)
    assert mapped.asked("preview", "--entity", "person")["created"] == 10
    assert mapped.people() == {}


def test_apply_does_exactly_what_preview_said_and_leaves_equal_rows_untouched(working: MappingScene) -> None:
    working.land(4)
    working.land(2, Title="CTO")
    assert working.asked("apply")["totals"]["created"] == 4
    before = working.people()
    _set(working, title=custom("upper(value)"))
    said = working.asked("preview", "--entity", "person")
    done = working.asked("apply")
    assert done["outcome"] == "completed"
    assert (said["updated"], said["unchanged"]) == (2, 2)
    assert {name: done["counts"]["contacts"][name] for name in ("read", "updated", "unchanged")} == {
        "read": 4,
        "updated": 2,
        "unchanged": 2,
    }
    after = working.people()
    assert {row["title"] for row in after.values()} == {"CTO"}
    untouched = [key for key, row in after.items() if row["version"] == before[key]["version"]]
    assert untouched == ["00300000", "00300001"]
    again = working.done("apply")
    assert "re-normalising completed" in again.stdout
    assert working.people() == after


def test_columns_that_no_entry_fills_any_more_are_emptied(working: MappingScene) -> None:
    working.land(2)
    working.asked("apply")
    without = [entry for entry in working.person() if entry["targetField"] != "title"]
    working.done("set", "--entity", "person", "--file", working.file(without))
    assert working.asked("preview", "--entity", "person")["columns"] == {"title": 2}
    working.asked("apply")
    assert {row["title"] for row in working.people().values()} == {None}


def test_reset_and_apply_bring_back_what_was(working: MappingScene) -> None:
    working.land(3)
    working.asked("apply")
    _set(working, title=custom("'changed'"))
    working.asked("apply")
    working.done("reset", "--entity", "person")
    working.asked("apply")
    assert {row["title"] for row in working.people().values()} == {"cto"}


def test_an_apply_that_broke_half_way_is_simply_run_again(
    working: MappingScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renormalize, "PAGE_RECORDS", 2)
    monkeypatch.setattr(renormalize, "raw_page", _pages_of(2))
    working.land(6)
    broken = threading.Event()
    write = pages.RawRewriter.write

    def once(self: pages.RawRewriter, batch: Any) -> Any:
        if len(batch.records) and batch.records[0].external_id == "00300002" and not broken.is_set():
            broken.set()
            raise ArithmeticError("the worker's bug")
        return write(self, batch)

    monkeypatch.setattr(pages.RawRewriter, "write", once)
    failed = working.run("apply")
    assert failed.exit_code == 1
    assert "unexpected ArithmeticError" in failed.stderr
    assert sorted(working.people()) == ["00300000", "00300001"]
    totals = working.asked("apply")["totals"]
    assert (totals["created"], totals["unchanged"]) == (4, 2)


def test_an_apply_left_alone_goes_on_and_the_next_one_waits_for_it(
    working: MappingScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    working.land(3)
    gate, write = Gate(), pages.RawRewriter.write

    def held(self: pages.RawRewriter, batch: Any) -> Any:
        if batch.records:
            gate()
        return write(self, batch)

    def leave(*_: Any, **__: Any) -> None:
        assert gate.reached.wait(30)
        raise KeyboardInterrupt

    def come_back(*followed: Any, **how: Any) -> None:
        gate.opened.set()
        watch(*followed, **how)

    monkeypatch.setattr(pages.RawRewriter, "write", held)
    monkeypatch.setattr(in_turn, "watch", leave)
    left = working.run("apply")
    assert left.exit_code == 130
    assert "Not followed any more; it goes on" in left.stderr
    monkeypatch.setattr(in_turn, "watch", come_back)
    done = working.done("apply")
    assert "was running and has ended; now the mappings are applied." in done.stderr
    assert "re-normalising completed" in done.stdout
    assert len(working.people()) == 3


def test_a_saved_mapping_that_does_not_compile_is_told_before_anything_starts(working: MappingScene) -> None:
    entry = {"sourceField": "LastName", "targetField": "lastName", "transform": "sideways"}
    save_mapping(working.database, working.tenant, working.row.id, Entity.PERSON, [entry])
    for error in (working.refused("apply"), working.refused("preview", "--entity", "person")):
        assert error.code == "bad_saved_mapping"
        assert "gtmc mappings reset" in error.next_step
    assert "sideways" in working.done("show").stdout
    with working.database.tenant(working.tenant) as handle:
        run(handle, _SPOIL, {"tenant": working.tenant})
    assert working.refused("apply").code == "bad_saved_mapping"
    assert working.asked("show", "--entity", "person") == [{"entry": "no entry"}]
    assert "person: own mapping" in working.done("show").stdout
