"""The legacy set of a connector: three forms that are understood, and every other refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.legacy import LegacyMapping, read_legacy
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import MAPPABLE, Entity

NAME = {"sourceField": "Name", "targetField": "name", "transform": "uppercase"}
LAST = {"sourceField": "LastName", "targetField": "lastName"}
COMPANY = {"sourceField": "Company", "targetField": "companyName", "transform": "trim"}


def read(document: Any, connector: ConnectorType = ConnectorType.SALESFORCE) -> LegacyMapping | None:
    vendor = connector_of(connector)
    return read_legacy(document, vendor.streams, vendor.default_mappings())


def understood(document: Any, connector: ConnectorType = ConnectorType.SALESFORCE) -> dict[str, list[dict[str, Any]]]:
    legacy = read(document, connector)
    assert legacy is not None
    assert legacy.problems == ()
    return {entity.value: [entry.as_dict() for entry in entries] for entity, entries in legacy.entries.items()}


def refused(document: Any) -> list[str]:
    legacy = read(document)
    assert legacy is not None
    return [str(problem) for problem in legacy.problems]


def _full(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [MappingEntry.of(entry).as_dict() for entry in entries]


@pytest.mark.parametrize("name", ["account", "accounts", "Account", "ACCOUNTS", " account "])
def test_an_object_may_name_an_entity_in_any_form(name: str) -> None:
    assert understood({name: [NAME]}) == {"account": _full(NAME)}


def test_an_object_may_give_the_source_of_each_target() -> None:
    assert understood({"account": {"name": "Name", "industry": "Industry"}}) == {
        "account": _full(
            {"sourceField": "Name", "targetField": "name"}, {"sourceField": "Industry", "targetField": "industry"}
        )
    }


def test_a_list_says_whose_an_entry_is_or_it_can_be_one_only() -> None:
    typed = [NAME | {"entityType": "Account"}, LAST | {"entityType": "people"}]
    assert understood(typed) == {"account": _full(NAME), "person": _full(LAST)}
    assert understood([LAST, COMPANY]) == {"person": _full(LAST, COMPANY)}
    assert understood([NAME, LAST | {"entityType": "person"}, {"sourceField": "I", "targetField": "industry"}]) == {
        "account": _full(NAME, {"sourceField": "I", "targetField": "industry"}),
        "person": _full(LAST),
    }


def test_where_a_connector_feeds_one_entity_nobody_has_to_say_which() -> None:
    defaults = connector_of(ConnectorType.FATHOM).default_mappings()[Entity.ACTIVITY]
    entries = [entry.as_dict() for entry in defaults]
    assert understood(entries, ConnectorType.FATHOM) == {"activity": entries}


def test_the_name_of_one_of_several_streams_is_for_that_stream_and_the_others_keep_their_defaults() -> None:
    for name in ("Lead", "leads"):
        found = understood({name: [LAST, COMPANY]})["person"]
        assert found[:2] == [entry | {"stream": "leads"} for entry in _full(LAST, COMPANY)]
        defaults = connector_of(ConnectorType.SALESFORCE).default_mappings()[Entity.PERSON]
        kept = [each.as_dict() | {"stream": "contacts"} for each in defaults if each.stream in (None, "contacts")]
        assert found[2:] == kept
    both = understood({"Contact": [LAST], "Lead": [COMPANY, LAST]})["person"]
    assert [(each["targetField"], each["stream"]) for each in both] == [
        ("lastName", "contacts"),
        ("companyName", "leads"),
        ("lastName", "leads"),
    ]


def test_where_contacts_are_no_stream_they_are_people() -> None:
    defaults = connector_of(ConnectorType.CUSTOMERIO).default_mappings()[Entity.PERSON]
    assert list(understood({"contacts": [e.as_dict() for e in defaults]}, ConnectorType.CUSTOMERIO)) == ["person"]


def test_optional_keys_may_be_there_and_empty() -> None:
    spare = {"transform": None, "customTransform": "", "required": None}
    assert understood({"person": [LAST | spare]}) == {"person": _full(LAST)}


@pytest.mark.parametrize("document", [None, {}, [], {"account": []}, {"person": {}, "account": []}])
def test_a_document_that_says_nothing_is_none(document: Any) -> None:
    assert read(document) is None


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (5, "It is neither a list"),
        ("[]", "It is neither a list"),
        (False, "It is neither a list"),
        ({"kontakts": [NAME]}, "'kontakts': No entity"),
        ({"mappings": {"account": [NAME]}}, "'mappings': No entity"),
        (NAME, "'sourceField': No entity"),
        ({"meeting": [NAME]}, "'meeting': No entity"),
        ({"account": 5}, "'account': It is neither"),
        ({"account": {"name": {"sourceField": "Name"}}}, "'account', 'name': It must be the name of a source field."),
        ({"account": {"nam": "Name"}}, "'account', 'nam', targetField: "),
        ({"account": [NAME, "words"]}, "'account', entry 2, entry: It is not an object."),
        ({"account": [NAME, NAME]}, "'account', entry 2, targetField: name is filled by entry 1 already."),
        ({"account": [NAME | {"transform": "sideways"}]}, "'account', entry 1, transform: "),
        ({"account": [NAME | {"transform": "custom", "customTransform": "trim("}]}, "'account', entry 1, customTrans"),
        ({"account": [NAME | {"requried": True}]}, "'account', entry 1, requried: "),
        ({"account": [{"sourceField": "I", "targetField": "industry"}]}, "account: name is required"),
        ({"person": [LAST], "Lead": [LAST]}, "'Lead', entry 1: The person is mapped at 'person', entry 1 already."),
        ([NAME], "entry 1, entityType: It is missing"),
        (["words"], "entry 1: It is not an object."),
        ([NAME | {"entityType": "company"}], "entry 1, entityType: No entity"),
        ([NAME | {"entityType": 5}], "entry 1, entityType: No entity"),
        ([{"sourceField": "x", "targetField": "nobody"}], "entry 1, entityType: It is missing"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(document: Any, place: str) -> None:
    told = refused(document)
    assert any(each.startswith(place) for each in told), told


def test_what_concerns_one_entity_leaves_the_others_and_what_may_concern_any_leaves_none() -> None:
    legacy = read({"account": [NAME], "person": ["words"]})
    assert legacy is not None
    assert set(legacy.entries) == {Entity.ACCOUNT}
    assert [entity for entity in Entity if legacy.problem_of(entity)] == [Entity.PERSON]
    unknown = read({"account": [NAME], "firma": []})
    assert unknown is not None
    assert [entity for entity in Entity if unknown.problem_of(entity)] == list(MAPPABLE)


_WORDS = st.sampled_from(
    [*Entity, "Contact", "leads", "entityType", "sourceField", "targetField", "transform", "stream", "name", "custom"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60)
@given(document=_JSON)
def test_whatever_stands_there_is_understood_wholly_or_told(document: Any) -> None:
    legacy = read(json.loads(json.dumps(document)))
    if legacy is None:
        return
    for entity, entries in legacy.entries.items():
        names = [s.name for s in connector_of(ConnectorType.SALESFORCE).streams if entity in s.entities]
        assert validate(entity, entries, names) == []
    assert all(problem.sentence for problem in legacy.problems)


@settings(max_examples=40)
@given(data=st.data())
def test_any_good_mapping_comes_back_from_each_form(data: st.DataObject) -> None:
    connector = data.draw(st.sampled_from(list(ConnectorType)))
    defaults = connector_of(connector).default_mappings()
    entity = data.draw(st.sampled_from([entity for entity in MAPPABLE if entity in defaults]))
    entries = data.draw(st.permutations([entry.as_dict() for entry in defaults[entity]]))
    assert understood({entity.value: entries}, connector) == {entity.value: entries}
    assert understood([entry | {"entityType": entity.value} for entry in entries], connector) == {entity.value: entries}
    plain = [MappingEntry(e["sourceField"], e["targetField"]).as_dict() for e in entries]
    pairs = {entry["targetField"]: entry["sourceField"] for entry in plain}
    if len(pairs) == len(plain):
        found = understood({entity.value: pairs}, connector)[entity.value]
        assert found == plain
        assert {entry["transform"] for entry in found} == {Transform.NONE.value}
