"""The administrators' page of mappings says what is so: examples, functions, transforms, keys, reject codes."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

import gtmc_pipelines.mapping
from gtmc_pipelines.mapping.entry import Transform
from gtmc_pipelines.mapping.expressions import LONGEST_EXPRESSION, LONGEST_WITH_MACRO, Expression
from gtmc_pipelines.mapping.functions import FUNCTIONS, MOST_OUTPUT
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.mapping.validate import KEYS, validate
from gtmc_pipelines.model.entities import Entity

PAGE = Path(gtmc_pipelines.mapping.__file__).with_name("README.md")
TEXT = PAGE.read_text(encoding="utf-8")
_REASON_ROWS = re.compile(r"(?<=<!-- reasons -->\n).*?(?=<!-- end of reasons -->)", re.S)


def _examples() -> list[tuple[str, str, str]]:
    part = TEXT.partition("<!-- examples -->")[2].partition("<!-- end of examples -->")[0]
    rows = [re.fullmatch(r"\| `(.+?)` \| `(.+?)` \| `(.+?)` \|", line) for line in part.strip().splitlines()[2:]]
    assert all(rows)
    return [(row[1], row[2], row[3]) for row in rows if row]


def reason_rows() -> str:
    """The table of reject codes as it should be; the page holds it between two marks."""
    said = {code: sentence.format(field="The field") for code, sentence in REASONS.items()}
    rows = (f"| `{code}` | {sentence.replace(' The', ' the')} |\n" for code, sentence in said.items())
    return "| Code | Sentence |\n|---|---|\n" + "".join(rows)


@pytest.mark.parametrize(("expression", "value", "expected"), _examples())
def test_every_example_of_the_page_is_true(expression: str, value: str, expected: str) -> None:
    found = Expression(expression).evaluate(_parsed(value), {}, "Field")
    assert found == _parsed(expected)


def _parsed(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_has_an_example(name: str) -> None:
    assert any(re.search(rf"\b{name}\(", expression) for expression, _, _ in _examples())


def test_transforms_and_keys_are_those_there_are() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", TEXT, flags=re.MULTILINE)
    assert listed[: len(KEYS) + len(Transform)] == [*KEYS, *Transform]


def test_the_bounds_on_the_page_are_those_in_force() -> None:
    for bound in (LONGEST_EXPRESSION, LONGEST_WITH_MACRO, MOST_OUTPUT):
        assert f"{bound:,}" in TEXT


def test_the_sample_mapping_is_a_sound_one() -> None:
    sample = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", TEXT, flags=re.DOTALL)[0])
    assert validate(Entity.PERSON, sample, ["contacts", "leads"]) == []


def test_the_table_of_reject_codes_is_the_one_in_force() -> None:
    found = _REASON_ROWS.search(TEXT)
    assert found, "the marks are gone"
    assert found.group() == reason_rows(), "mend it with: python -m gtmc_pipelines_tests.mapping.test_readme"


if __name__ == "__main__":
    PAGE.write_text(_REASON_ROWS.sub(lambda _: reason_rows(), TEXT), encoding="utf-8")
