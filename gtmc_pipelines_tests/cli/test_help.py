"""`--help` teaches: every command shows how it is typed, and what it shows is right."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from gtmc_pipelines.cli.examples import EXAMPLES, NEXT
from gtmc_pipelines.cli.main import app
from gtmc_pipelines_tests.cli.command_lines import commands, parse


def test_every_command_has_examples_and_no_example_is_of_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) == set(commands())
    assert set(NEXT) <= set(EXAMPLES)


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_every_example_is_taken_by_the_command_it_stands_at(line: str) -> None:
    path = parse(line)
    assert line in EXAMPLES[path]


@pytest.mark.parametrize("sentence", sorted(set(NEXT.values())))
def test_every_command_that_is_said_to_come_next_exists(sentence: str) -> None:
    named = re.findall(r"gtmc ([a-z0-9-]+(?: [a-z-]+)*)", sentence)
    assert all(any(name == path or name.startswith(f"{path} ") for path in commands()) for name in named)


@pytest.mark.parametrize("path", sorted(EXAMPLES))
def test_help_fits_into_eighty_columns_and_ends_with_the_examples(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(app, [*path.split(), "--help"])
    assert shown.exit_code == 0
    assert max(len(line) for line in shown.output.splitlines()) <= 80
    flat = " ".join(shown.output.partition("Examples:")[2].split())
    assert all(" ".join(line.split()) in flat for line in EXAMPLES[path])
