"""Validation: every fault of a mapping is found at once, at its position."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.validate import KEYS, Problem, parse_entries, validate
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse

STREAMS = ("contacts", "leads")


def entry(source: Any, target: Any, **others: Any) -> dict[str, Any]:
    return {"sourceField": source, "targetField": target, **others}


def places(problems: list[Problem]) -> list[tuple[int, str]]:
    return [(problem.position, problem.field) for problem in problems]


GOOD = [
    entry("FirstName", "firstName", transform="trim"),
    entry("Email", "email", transform="lowercase", required=True),
    entry("Title", "title", transform="custom", customTransform="coalesce(value, record.Role)"),
    entry("Company", "companyName", stream="leads"),
    entry("Account.Name", "companyName", stream="contacts"),
]


def test_a_good_mapping_has_no_problem_and_comes_back_as_entries() -> None:
    assert validate(Entity.PERSON, GOOD, STREAMS) == []
    entries = parse_entries(Entity.PERSON, json.dumps(GOOD), STREAMS)
    assert [e.as_dict() for e in entries] == [{"transform": "none", **item} for item in GOOD]
    assert parse_entries(Entity.PERSON, entries, STREAMS) == entries


def test_ten_faults_give_ten_problems_at_their_places() -> None:
    faulty = [
        entry("", "firstName"),
        entry("Last", "lastNam"),
        entry("Email", "email", transform="lower"),
        entry("Mail", "email"),
        entry("Title", "title", transform="custom"),
        entry("Phone", "phone", transform="custom", customTransform="lower(value"),
        entry("A..B", "accountExternalId"),
        entry("Company", "companyName", transform="trim", customTransform="value"),
        entry("Extra", "sourceData", transform="uppercase"),
        entry("Last", "lastName", stream="tasks"),
    ]
    problems = validate(Entity.PERSON, faulty, STREAMS)
    assert places(problems) == [
        (1, "sourceField"),
        (2, "targetField"),
        (3, "transform"),
        (4, "targetField"),
        (5, "customTransform"),
        (6, "customTransform"),
        (7, "sourceField"),
        (8, "customTransform"),
        (9, "transform"),
        (10, "stream"),
    ]
    with pytest.raises(Misuse, match="10 problems") as caught:
        parse_entries(Entity.PERSON, faulty, STREAMS)
    assert all(f"entry {position}, " in str(caught.value) for position in range(1, 11))


def test_an_unknown_target_is_answered_with_near_names() -> None:
    (problem,) = validate(Entity.PERSON, [entry("a", "firstname")], STREAMS)
    assert "firstName" in problem.sentence


@pytest.mark.parametrize(
    ("entity", "item", "field"),
    [
        (Entity.ACCOUNT, entry("n", "employeeCount", transform="uppercase"), "transform"),
        (Entity.ACCOUNT, entry("n", "employeeCount", transform="custom", customTransform="'many'"), "customTransform"),
        (Entity.ACCOUNT, entry("n", "employeeCount", transform="custom", customTransform="1.5"), "customTransform"),
        (Entity.ACCOUNT, entry("n", "annualRevenue", transform="custom", customTransform="1/0"), "customTransform"),
        (Entity.ACCOUNT, entry("n", "sourceData", transform="trim"), "transform"),
        (Entity.ACCOUNT, entry("n", "domain", required="yes"), "required"),
        (Entity.ACCOUNT, entry(7, "domain"), "sourceField"),
        (Entity.ACCOUNT, entry("n\n", "domain"), "sourceField"),
        (Entity.ACCOUNT, entry("n", None), "targetField"),
        (Entity.ACCOUNT, entry("n", "domain", transform=None), "transform"),
    ],
)
def test_each_fault_is_found_at_its_key(entity: Entity, item: dict[str, Any], field: str) -> None:
    problems = validate(entity, [entry("Name", "name"), item], ("accounts",))
    assert places(problems) == [(2, field)]


def test_a_required_column_must_be_filled_for_every_stream() -> None:
    mapped = [
        entry("t", "type", transform="custom", customTransform="'page_view'"),
        entry("c", "channel", transform="custom", customTransform="'web'"),
        entry("ActivityDate", "occurredAt", stream="tasks"),
    ]
    (problem,) = validate(Entity.ACTIVITY, mapped, ("tasks", "events"))
    assert (problem.position, problem.field) == (0, "occurredAt")
    assert "events" in problem.sentence
    assert "tasks" not in problem.sentence
    assert (
        validate(Entity.ACTIVITY, [*mapped, entry("StartDateTime", "occurredAt", stream="events")], ("tasks", "events"))
        == []
    )


def test_one_target_may_be_filled_once_per_stream() -> None:
    both = [entry("a", "title", stream="leads"), entry("b", "title")]
    assert places(validate(Entity.PERSON, both, STREAMS)) == [(2, "targetField")]
    assert places(validate(Entity.PERSON, both[::-1], STREAMS)) == [(2, "targetField")]


@pytest.mark.parametrize("text", ["", "{", "{}", "null", "7", '"text"', "[" * 100_000])
def test_what_is_no_list_of_entries_is_one_problem(text: str) -> None:
    assert places(validate(Entity.PERSON, text, STREAMS)) == [(0, "")]


def test_items_that_are_no_objects_are_named() -> None:
    assert places(validate(Entity.PERSON, "[1, null, []]", STREAMS)) == [(1, "entry"), (2, "entry"), (3, "entry")]


def test_more_than_five_hundred_entries_are_refused() -> None:
    problems = validate(Entity.PERSON, [entry("a", "title", stream="leads")] * 501, STREAMS)
    assert "501 entries" in problems[0].sentence


ITEMS = st.dictionaries(
    st.sampled_from(["sourceField", "targetField", "transform", "customTransform", "required", "stream"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
    | st.sampled_from(["title", "email", "sourceData", "custom", "trim", "value", "'x'", "leads"]),
)


@given(st.lists(ITEMS | st.integers(), max_size=6))
def test_what_validation_accepts_compiles_for_every_stream(items: list[Any]) -> None:
    if validate(Entity.PERSON, items, STREAMS):
        return
    for stream in STREAMS:
        compile_mapping(Entity.PERSON, parse_entries(Entity.PERSON, items, STREAMS), stream)


def test_entries_survive_their_json_form() -> None:
    original = MappingEntry("a.b", "title", Transform.CUSTOM, "lower(value)", True, "leads")
    assert MappingEntry.of(json.loads(json.dumps(original.as_dict()))) == original


def test_a_misspelled_key_is_a_problem_and_not_passed_over() -> None:
    entries = [{"sourceField": "Name", "targetField": "name", "requried": True, "note": "x"}]
    problems = validate(Entity.ACCOUNT, entries, ["accounts"])
    assert [(problem.field, problem.sentence) for problem in problems] == [
        ("requried", "An entry has no such key; did you mean required?"),
        ("note", f"An entry has no such key; there are: {', '.join(KEYS)}."),
    ]


def test_what_an_entry_lacks_is_missing_and_not_a_field_of_another_name() -> None:
    problems = validate(Entity.ACCOUNT, [{"targetField": "name"}, {"sourceField": "Name"}], ["accounts"])
    assert [(p.position, p.field, p.sentence) for p in problems if p.position] == [
        (1, "sourceField", "It is missing."),
        (2, "targetField", "It is missing."),
    ]
