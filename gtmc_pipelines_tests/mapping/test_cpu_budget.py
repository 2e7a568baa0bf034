"""A record's transform is bounded, a batch's together, and what is foreseeably dear is refused."""

import json
import time
from contextlib import suppress

import pytest

from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.expressions import MOST_SECONDS, Expression
from gtmc_pipelines.mapping.validate import parse_entries
from gtmc_pipelines.model.cpu_budget import limited
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse, Reject

DEAR = [
    "split(value, ' ').map(x, split(value, x))",
    "split(value, ' ').map(x, domain(value))",
]
FINE = [
    "lower(value)",
    "split(value, '@')[1]",
    "domain(value)",
    "split(value, ';').map(x, concat(x, value))",
    "value == 'x' ? record.a : concat(record.a, record.b)",
]


def _entries(expression: str, *, required: bool = False) -> list[MappingEntry]:
    return [MappingEntry("Name", "firstName", Transform.CUSTOM, expression, required)]


@pytest.mark.parametrize("expression", DEAR)
def test_a_transform_that_is_too_dear_is_refused_when_it_is_saved(expression: str) -> None:
    with pytest.raises(Misuse, match="entry 1, customTransform: For a large record it would take too long"):
        parse_entries(Entity.PERSON, _entries(expression), ["contacts"])


@pytest.mark.parametrize("expression", FINE)
def test_an_ordinary_transform_is_saved(expression: str) -> None:
    parse_entries(Entity.PERSON, _entries(expression), ["contacts"])


@pytest.mark.parametrize("expression", DEAR)
@pytest.mark.parametrize("value", ["ab " * 190, "ab " * 2_000, "a" * 16_000, "a" * 1_000_000, "x@y.z," * 2_000])
def test_one_record_of_one_that_was_saved_earlier_is_bounded(expression: str, value: str) -> None:
    compiled = Expression(expression)
    start = time.thread_time()
    with suppress(Reject):
        compiled.evaluate(value, {}, "Name")
    assert time.thread_time() - start < MOST_SECONDS + 1


@pytest.mark.parametrize("required", [True, False])
def test_records_whose_turn_comes_when_the_budget_is_spent_are_rejected_by_the_entrys_name(required: bool) -> None:
    mapping = compile_mapping(Entity.PERSON, _entries("concat(value, 'x')", required=required), "contacts")
    payload = json.dumps({"Name": "Ana"}).encode()
    with limited(60) as budget:
        assert mapping.texts(payload) == ("Anax",)
        budget.spend(60)
        with pytest.raises(Reject) as raised:
            mapping.read(payload)
    assert (raised.value.code, raised.value.field) == ("mapping_too_slow", "Name")
    assert mapping.texts(payload) == ("Anax",), "a budget ends with its batch"


def test_evaluations_are_what_spends_it() -> None:
    mapping = compile_mapping(Entity.PERSON, _entries("concat(value, 'x')"), "contacts")
    with limited(0.01) as budget:
        while not budget.is_spent:
            mapping.texts(b'{"Name":"Ana"}')
        with pytest.raises(Reject, match="processor time"):
            mapping.texts(b'{"Name":"Ana"}')


def test_a_text_of_a_megabyte_is_no_domain_and_costs_nothing() -> None:
    start = time.thread_time()
    assert plain_domain("a b" * 330_000) is None
    assert time.thread_time() - start < 0.1
