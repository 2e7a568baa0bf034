"""The terminal gets values from outside as text: no markup, no escape sequence, no line of their own."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from rich.console import Console

from gtmc_pipelines.cli import console
from gtmc_pipelines.cli.console import emit, emit_json, fail, line, new_table
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.model.shown_text import shown
from gtmc_pipelines_tests.model.test_shown_text import NASTY

HOSTILE = (
    "[/x]",
    "[link=http://evil.example]a[/link]",
    "[bold",
    "\\[red]",
    "ends with \\",
    ":smile:",
    "\x1b]0;owned\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x9b2J",
    "a\r✓ all is well",
    "a\n✓ all is well",
    "abc\u202etxt.exe",
    "\ud800",
    "\ue000",
)


def printed(thing: object) -> str:
    """What a terminal of colours, wide enough, gets; less its line's end."""
    screen = Console(width=100_000, force_terminal=True, color_system=None, legacy_windows=False)
    with screen.capture() as captured:
        screen.print(thing)
    return captured.get()


@given(NASTY, NASTY)
def test_a_line_is_our_words_with_the_values_as_text(first: str, second: str) -> None:
    told = line("[bold]{}[/bold] of {:>3} [dim]and {}[/dim].", first, 7, second)
    assert told.plain == f"{shown(first)} of   7 and {shown(second)}."
    assert "\x1b" not in printed(told)


@given(NASTY, NASTY)
def test_a_cell_and_a_heading_are_text(name: str, value: str) -> None:
    table = new_table(name)
    table.add_column(name)
    table.add_row(value)
    (column,) = table.columns
    assert [str(cell) for cell in (column.header, *column.cells)] == [shown(name), shown(value)]
    assert "\x1b" not in printed(table)


def test_colours_stay_with_their_values() -> None:
    told = line("{} [red]{}[/red]", "a", "[b]")
    assert [told.plain[span.start : span.end] for span in told.spans if span.style == "red"] == ["[b]"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("width", [120, 8])
def test_every_list_shows_a_hostile_name_as_text(
    name: str, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "console", Console(width=width))
    emit([{"id": 1, "name": name}], ("id", "name"), as_json=False, title=name)
    emit([], ("id",), as_json=False, title=name, when_none=name)
    told = capsys.readouterr().out
    assert not {unicodedata.category(character) for character in told if character != "\n"} & {"Cc", "Cf", "Cs"}
    assert "".join(shown(name).split()) in "".join(told.split())
    assert not [each for each in told.splitlines() if each.startswith("✓")]


@pytest.mark.parametrize("name", HOSTILE)
def test_json_is_data_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    emit_json([{"name": name}])
    assert json.loads(capsys.readouterr().out) == [{"name": name}]


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_that_quotes_a_value_has_its_lines_and_no_more(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    fail(GtmcError("x", f"No {name}.", next_step=f"Add {name}."))
    fail(Misuse("x", f"{name} has 2 faults:", faults=(name, "b"), next_step="Mend them."))
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [f"✗ No {shown(name)}.", f"  Add {shown(name)}."]
    assert told[2:] == [f"✗ {shown(name)} has 2 faults:", f"  {shown(name)}", "  b", "  Mend them."]
