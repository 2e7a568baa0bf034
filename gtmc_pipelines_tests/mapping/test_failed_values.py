"""One optional value costs itself: whatever stands there, the rest of the record is read. And `skip` leaves out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.model.records import FailedValue
from gtmc_pipelines_tests.mapping.test_compile import JSON_VALUES

ACCOUNT = (
    MappingEntry("Name", "name", Transform.TRIM, required=True),
    MappingEntry("Site", "domain", Transform.CUSTOM, "domain(value)"),
    MappingEntry("Industry", "industry"),
    MappingEntry("Employees", "employeeCount"),
    MappingEntry("Revenue", "annualRevenue"),
    MappingEntry("Extra", "sourceData"),
)
OPTIONAL = {e.source_field: e.target_field for e in ACCOUNT if not e.required}
PRIVATE = MappingEntry("IsPersonAccount", "skip")


def read(record: dict[str, Any], *more: MappingEntry) -> tuple[dict[str, Any] | None, tuple[FailedValue, ...]]:
    mapper = compile_mapping(Entity.ACCOUNT, (*ACCOUNT, *more), "accounts")
    texts, failed = mapper.read(json.dumps(record).encode())
    return None if texts is None else dict(zip(mapper.columns, texts, strict=True)), tuple(failed)


def test_a_value_that_cannot_be_read_leaves_its_column_empty_and_says_why() -> None:
    row, failed = read({"Name": "Acme", "Employees": "1,000-5,000", "Industry": "Steel"})
    assert row is not None
    assert (row["name"], row["industry"], row["employee_count"]) == ("Acme", "Steel", None)
    assert failed == (FailedValue("employee_count", "not_an_integer", "Employees"),)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(OPTIONAL)), JSON_VALUES))
def test_no_optional_value_whatever_it_is_costs_the_record_or_another_column(values: dict[str, Any]) -> None:
    alone = {name: read({"Name": "Acme", name: value}) for name, value in values.items()}
    row, failed = read({"Name": "Acme", **values})
    assert row is not None
    assert row["name"] == "Acme"
    assert sorted(failed) == sorted(one for _, found in alone.values() for one in found)
    for each in failed:
        assert row[each.column] is None
        assert each.reason_code in REASONS
        assert each.field in values
    for found, _ in alone.values():
        assert found is not None
        assert found.items() <= {**row, **{k: v for k, v in found.items() if v is None}}.items()


@pytest.mark.parametrize("value", [None, "", "  ", {"a": 1}, "a\0b", "\ud83d", "x" * 1_000_001], ids=ascii)
def test_a_required_one_rejects_as_ever(value: Any) -> None:
    with pytest.raises(Reject):
        read({"Name": value, "Industry": "Steel"})


def test_a_mapping_leaves_records_out() -> None:
    assert read({"Name": "Kim Berg", "IsPersonAccount": True}, PRIVATE) == (None, ())
    assert read({"IsPersonAccount": True}, PRIVATE) == (None, ()), "a required field of a record nobody wants"
    for kept in (False, None, "no"):
        row, failed = read({"Name": "Acme", "IsPersonAccount": kept}, PRIVATE)
        assert row is not None
        assert not failed


def test_a_question_without_an_answer_keeps_the_record_and_is_listed() -> None:
    row, failed = read({"Name": "Acme", "IsPersonAccount": "perhaps"}, PRIVATE)
    assert row is not None
    assert failed == (FailedValue("skip", "not_a_boolean", "IsPersonAccount"),)
    unsure = MappingEntry("Name", "skip", Transform.CUSTOM, "size(record.Tags) > 3")
    row, failed = read({"Name": "Acme"}, unsure)
    assert row is not None
    assert failed == (FailedValue("skip", "custom_transform", "Name"),)


def test_who_a_record_is_about_is_known_although_it_is_left_out() -> None:
    mapper = compile_mapping(Entity.ACCOUNT, (*ACCOUNT, PRIVATE), "accounts")
    assert mapper.texts(b'{"Name": "Kim Berg", "IsPersonAccount": true}')[0] == "Kim Berg"
    assert mapper.is_selective
    assert not compile_mapping(Entity.ACCOUNT, ACCOUNT, "accounts").is_selective
    assert mapper.fingerprint != compile_mapping(Entity.ACCOUNT, ACCOUNT, "accounts").fingerprint


def test_skip_is_a_target_like_any_other_when_a_mapping_is_saved() -> None:
    def problems(**entry: Any) -> list[str]:
        listed = [*(e.as_dict() for e in ACCOUNT), {"sourceField": "IsPersonAccount", "targetField": "skip", **entry}]
        return [str(problem) for problem in validate(Entity.ACCOUNT, listed, ["accounts"])]

    assert problems() == []
    assert problems(transform="custom", customTransform="value == true") == []
    assert "can't be required" in problems(required=True)[0]
    assert "is for text" in problems(transform="lowercase")[0]
    assert "gives no value of type boolean" in problems(transform="custom", customTransform="'perhaps'")[0]
