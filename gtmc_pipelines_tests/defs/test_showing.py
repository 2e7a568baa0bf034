"""Dagster gets values from outside as text in every field: where it renders Markdown, makes links, or does neither."""

from __future__ import annotations

import inspect
import io
import logging
import re
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._daemon import controller
from hypothesis import given

from gtmc_pipelines import definitions
from gtmc_pipelines.defs import daemon, showing
from gtmc_pipelines.model.shown_text import shown, unlinked
from gtmc_pipelines_tests.model.test_shown_text import NASTY

HOSTILE = (
    "![p](http://127.0.0.1:1/x.png)",
    "<img src='http://127.0.0.1:1/x.png'>",
    "[a](http://127.0.0.1:1/)",
    "[a]: http://127.0.0.1:1/",
    "<http://127.0.0.1:1/>",
    "http://127.0.0.1:1/",
    "www.evil.example",
    "kim@evil.example",
    "&lt;img&gt;",
    "`a` *b* _c_ ~~d~~",
    "# heading",
    "1. list",
    "- list",
    "> quoted",
    "    code",
    "a\n\n![p](http://127.0.0.1:1/x.png)",
)
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")


def _read(markdown: str) -> str:
    """What a reader of CommonMark sees of a text that has nothing but escapes in it."""
    return _ESCAPED.sub(r"\1", markdown)


@given(NASTY)
def test_a_description_shows_every_character_and_no_markup_is_left(value: str) -> None:
    told = showing.description(value)
    assert _read(told) == unlinked(showing._cut(value)).lstrip()
    bare = _ESCAPED.sub("", told)
    assert not re.search(r"[\\`*\[<&~]|://|www\.|(?<![\w.+-])[\w.+-]+@\w", bare)
    assert not re.match(r"[#+=>-]|\d+[.)]|\s", told)


@pytest.mark.parametrize("value", HOSTILE)
def test_every_kind_of_markup_is_text_in_a_description(value: str) -> None:
    assert _read(showing.description(value)) == unlinked(value).lstrip()


@given(NASTY)
def test_texts_and_cells_are_one_visible_line(value: str) -> None:
    cut = shown(value)
    (record,) = showing.table(("a", "b"), [(value, None)]).records
    assert (record.data, showing.text(value).value) == ({"a": cut, "b": ""}, cut)
    assert showing.named({"a": value}).value == {"a": cut}


def test_moments_and_numbers_of_a_table_stay_readable() -> None:
    (record,) = showing.table(("a", "b", "c"), [(datetime(2026, 1, 2, 3, 4, tzinfo=UTC), 5, True)]).records
    assert record.data == {"a": "2026-01-02 03:04", "b": 5, "c": True}


def test_long_texts_are_cut() -> None:
    assert len(str(showing.text("x" * 10_000).value)) == showing.LONGEST_TEXT


@pytest.mark.parametrize("address", ["javascript:alert(1)", "", "//evil.example", "https://a\nb", "data:text/html,x"])
def test_only_a_web_address_becomes_a_link(address: str) -> None:
    assert isinstance(showing.link(address), dg.TextMetadataValue)
    assert isinstance(showing.link("https://temporal.example/x"), dg.UrlMetadataValue)


class _Context:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.log = logging.getLogger("told")
        self.log.handle = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]


@given(NASTY)
def test_a_log_line_is_one_line_and_links_to_our_own_pages_only(value: str) -> None:
    context = _Context()
    showing.Log(context).error("{}: {} {:,}", f"http://{value}", showing.Address("http://ours/"), 1000)
    assert context.lines == [f"{unlinked(f'http://{value}')}: http://ours/ 1,000"]
    assert showing.sentence(f"http://{value}").startswith("http[:]//")


def test_dagsters_own_lines_are_one_line_in_the_code_server_and_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(logging.Formatter("%(message)s"))
    monkeypatch.setattr(logging.getLogger("dagster"), "handlers", [handler])
    monkeypatch.setattr(controller, daemon.LOGGING, lambda: None)
    monkeypatch.setattr(daemon, "main", lambda: controller.configure_loggers())
    daemon.run()
    logging.getLogger("dagster").error("a\nERROR b %s", "\x1b")
    assert stream.getvalue() == "a\\nERROR b \\x1b\n"
    assert "one_line_logs()" in inspect.getsource(definitions)
