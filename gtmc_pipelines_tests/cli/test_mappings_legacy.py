"""`gtmc mappings import-legacy`: the plan, what it moves, what it refuses; and the other commands meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gtmc_pipelines.cli.actor import acting_for
from gtmc_pipelines.connectors.salesforce.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.mappings import legacy_document, list_mappings, move_legacy, save_mapping
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene

pytestmark = pytest.mark.services

NAME = {"sourceField": "Name", "targetField": "name", "transform": "uppercase"}
GOOD = {"account": [NAME], "people": {"lastName": "LastName", "title": "Title"}}
BAD = {"account": [NAME], "person": [{"sourceField": "LastName", "targetField": "lastNam"}]}


def _put(scene: MappingScene, document: Any) -> None:
    with scene.database.tenant(scene.tenant) as handle:
        values = {"document": json.dumps(document), "id": scene.row.id}
        assert run(handle, "UPDATE connectors SET field_mappings = %(document)s::jsonb WHERE id = %(id)s", values) == 1


def _document(scene: MappingScene) -> Any:
    return legacy_document(scene.database, scene.tenant, scene.row.id)


def _audited(scene: MappingScene) -> list[tuple[str, str]]:
    with scene.database.tenant(scene.tenant) as handle:
        assert audit.verify_chain(handle, scene.tenant).is_sound
        entries = list_entries(handle, scene.tenant, 20)
        return [(each.action, each.actor) for each in entries if each.action.startswith("field_mapping")]


def test_show_says_where_each_mapping_comes_from(mapped: MappingScene) -> None:
    _put(mapped, GOOD)
    shown = {each["entity"]: each for each in mapped.asked("show")}
    assert {entity: each["origin"] for entity, each in shown.items()} == {
        "account": "legacy",
        "person": "legacy",
        "opportunity": "default",
        "activity": "default",
    }
    assert shown["account"]["mappings"] == [NAME]
    assert not shown["account"]["is_default"]
    assert mapped.asked("show", "--entity", "account") == [NAME]
    table = mapped.done("show").stdout
    assert "account: legacy mapping" in table
    assert "activity: default mapping" in table
    mapped.done("import-legacy", "--yes")
    assert "account: own mapping, version 1" in mapped.done("show").stdout


def test_the_plan_is_shown_and_asked_about_and_moving_it_twice_is_moving_it_once(mapped: MappingScene) -> None:
    _put(mapped, GOOD)
    asked = mapped.run("import-legacy", stdin="n\n")
    assert asked.exit_code == 1
    assert "Move it over?" in asked.output
    assert mapped.refused("import-legacy", "--json").code == "not_asked"
    assert (_document(mapped), _audited(mapped)) == (GOOD, [])
    before = mapped.asked("show")
    moved = mapped.done("import-legacy", "--by", "kim", stdin="y\n").stdout
    assert "Moved: account, person." in moved
    assert "gtmc mappings apply" in moved
    assert [each["mappings"] for each in mapped.asked("show")] == [each["mappings"] for each in before]
    assert _document(mapped) is None
    actions = [("field_mapping.update", acting_for("kim"))] * 2 + [("field_mapping.legacy_removed", acting_for("kim"))]
    assert sorted(_audited(mapped)) == sorted(actions)
    again = mapped.asked("import-legacy", "--yes")
    assert (again["outcome"], again["legacy_set"]) == ("nothing", "none")
    assert len(_audited(mapped)) == 3
    assert {m.version for m in list_mappings(mapped.database, mapped.tenant, mapped.row.id).values()} == {1}


def test_json_tells_entries_and_places(mapped: MappingScene) -> None:
    _put(mapped, GOOD)
    told = mapped.asked("import-legacy", "--yes")
    assert (told["outcome"], told["legacy_set"], told["problems"]) == ("moved", "in_force", [])
    assert {entity: len(entries) for entity, entries in told["entries"].items()} == {"account": 1, "person": 2}


def test_what_is_not_understood_keeps_all_of_it_where_it_is(mapped: MappingScene) -> None:
    _put(mapped, BAD)
    refused = mapped.run("import-legacy", "--yes")
    assert isinstance(refused.exception, Misuse)
    assert refused.exception.code == "legacy_not_understood"
    assert "'person', entry 1, targetField" in " ".join(refused.output.split())
    assert "did you mean lastName" in mapped.refused("import-legacy", "--yes", "--json").sentence
    assert (_document(mapped), _audited(mapped)) == (BAD, [])
    shown = mapped.done("show").stdout
    assert "person: legacy mapping" in shown
    assert "can't be used for the person: 'person', entry 1, targetField" in shown
    assert mapped.asked("show")[1]["mappings"] == []
    for command in (("show", "--entity", "person", "--json"), ("preview", "--entity", "person"), ("apply",)):
        error = mapped.refused(*command)
        assert error.code == "bad_legacy_mapping"
        assert f"gtmc mappings import-legacy --tenant {mapped.tenant} --connector salesforce" in error.next_step


def test_discarding_takes_it_away_whatever_it_holds_and_the_audit_log_keeps_it(mapped: MappingScene) -> None:
    _put(mapped, BAD)
    assert mapped.asked("import-legacy", "--discard", "--yes")["outcome"] == "discarded"
    assert _document(mapped) is None
    with mapped.database.tenant(mapped.tenant) as handle:
        (newest,) = list_entries(handle, mapped.tenant, 1)
    assert (newest.action, newest.changes["before"]) == ("field_mapping.legacy_removed", BAD)
    assert mapped.asked("show", "-e", "account") == [each.as_dict() for each in DEFAULT_MAPPINGS[Entity.ACCOUNT]]


def test_saving_one_entity_never_loses_the_legacy_mapping_of_another(mapped: MappingScene) -> None:
    _put(mapped, GOOD)
    file = mapped.file([{"sourceField": "LastName", "targetField": "lastName"}])
    for error in (mapped.refused("set", "-e", "person", "-f", file), mapped.refused("reset", "-e", "person")):
        assert error.code == "legacy_mapping_in_force"
    mapped.done("import-legacy", "--yes")
    mapped.done("set", "-e", "person", "-f", file)
    assert mapped.asked("show", "-e", "account") == [NAME]


def test_a_saved_mapping_wins_and_resetting_it_does_not_bring_the_legacy_one_back(mapped: MappingScene) -> None:
    save_mapping(mapped.database, mapped.tenant, mapped.row.id, Entity.ACCOUNT, [NAME])
    _put(mapped, BAD)
    assert [each["origin"] for each in mapped.asked("show")] == ["own", "default", "default", "default"]
    assert mapped.asked("import-legacy", "--yes")["legacy_set"] == "replaced"
    assert "--discard takes it away" in mapped.done("import-legacy").stdout
    assert _document(mapped) == BAD
    mapped.done("reset", "-e", "account")
    assert {each["origin"] for each in mapped.asked("show")} == {"default"}
    assert _document(mapped) is None


def test_a_set_that_was_changed_meanwhile_is_not_moved(mapped: MappingScene) -> None:
    _put(mapped, GOOD)
    at = (mapped.database, mapped.tenant, mapped.row.id)
    with pytest.raises(Misuse) as raised:
        move_legacy(*at, BAD, {Entity.ACCOUNT: [NAME]}, actor="test")
    assert raised.value.code == "legacy_mapping_changed"
    assert (_document(mapped), list_mappings(*at)) == (GOOD, {})


def test_preview_maps_by_the_legacy_set(mapped: MappingScene) -> None:
    _put(mapped, {"person": {"lastName": "Title"}})
    mapped.land(1)
    found = mapped.asked("preview", "--entity", "person", "--unmasked")
    assert found["changes"][0]["new"]["last_name"] == "cto"
