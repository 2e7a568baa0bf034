"""Attacks by values: what a vendor or a tenant puts into a text, shown in every medium there is.

In a terminal nothing may be obeyed and no line begun; in Dagster nothing may become a link or an image; in a log
an event stays one line. Each attempt shows one value everywhere.
"""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from unittest.mock import patch

import dagster as dg
from markdown_it import MarkdownIt
from rich.console import Console

from gtmc_pipelines.cli import console
from gtmc_pipelines.defs import showing
from gtmc_pipelines.vault.log_lines import LineFormatter
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage

MARKUP = (
    *("![p](http://evil.example/x.png)", "[click](javascript:alert(1))", "<img src=http://evil.example>", "<!-- -->"),
    *(
        "[/x]",
        "[bold]",
        "[link=http://evil.example]x[/link]",
        "[/]",
        "\\[x]",
        "[red",
        ":smile:",
        "{0}",
        "%s %(x)s",
        "{}",
    ),
    *(
        "<script>alert(1)</script>",
        "http://evil.example/graphql?query=mutation",
        "www.evil.example",
        "mailto:a@evil.example",
    ),
    *(
        "# head",
        "> quote",
        "```",
        "| a | b |",
        "---",
        "* item",
        "1. item",
        "[ref]: http://evil.example",
        "&lt;b&gt;",
        "`x`",
    ),
)
CONTROLS = (
    *(
        "\x1b]0;title\x07",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b[2J",
        "\x1b[31m",
        "\x9b31m",
        "\x1b]8;;http://evil.example\x1b\\",
    ),
    *(
        "\n2026-01-01 00:00:00 INFO gtmc: all is well",
        "\r",
        "\x08\x08",
        "\x00",
        "\x7f",
        "\x85",
        "\u2028",
        "\u2029",
        "\v",
    ),
    *("\u202e", "\u2066", "\u2069", "\u200b", "\ufeff", "\u061c", "\U000e0041", "\ud83d", "\udcff", "\u00ad"),
)
_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_LINK = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|mailto:|www\.")
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}


class ValueAttack:
    """Shows one hostile value in each medium and looks at what came of it."""

    def attempt(self, dice: Random) -> Tried:
        """One value, everywhere."""
        value = "".join(dice.choice((*MARKUP, *CONTROLS, "Acme ", "é", "漢", " ")) for _ in range(dice.randrange(1, 6)))
        form = _form_of(value)
        found = [what for show in (_terminal, _dagster, _description, _log) for what in [show(value)] if what]
        return Tried(form, f"{'; '.join(found)}: {value!r}" if found else None)

    def aftermath(self) -> list[str]:
        """None: what is shown is seen at once."""
        return []


def _form_of(value: str) -> str:
    has_markup, has_control = any(part in value for part in MARKUP), any(part in value for part in CONTROLS)
    return "both" if has_markup and has_control else "markup" if has_markup else "control" if has_control else "plain"


def _terminal(value: str) -> str | None:
    """A line, a warning and a table on a terminal with colours."""
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=4000, color_system=None, legacy_windows=False)
    with patch.object(console, "console", terminal), patch.object(console, "errors", terminal):
        console.say_unbroken("a value: {}", value)
        console.warn("a warning: {}", value)
        console.emit([{"name": value, "count": 1}], ["name", "count"], as_json=False, title="names")
    lines = written.getvalue().splitlines()
    if any(unicodedata.category(character) in _UNSEEN for line in lines[:2] for character in line):
        return "a terminal obeys it"
    if "\x1b" in written.getvalue() or "\x9b" in written.getvalue() or "\x07" in written.getvalue():
        return "a terminal obeys it"
    return None if lines[0].startswith("a value: ") and lines[1].startswith("a warning: ") else "it begins a line"


def _dagster(value: str) -> str | None:
    """A text, a table, names: never Markdown, on one line."""
    shown = [
        showing.text(value),
        showing.table(["name"], [[value]]),
        showing.named({value: value}),
        showing.link(value),
    ]
    if any(isinstance(entry, dg.MarkdownMetadataValue) for entry in shown):
        return "Dagster is given Markdown"
    if isinstance(shown[3], dg.UrlMetadataValue) and not value.startswith(("https://", "http://")):
        return "Dagster is given a link"
    texts = [str(shown[0].value), *(str(cell) for record in shown[1].records for cell in record.data.values())]
    return "Dagster is given controls" if any(_has_unseen(text) for text in texts) else None


def _description(value: str) -> str | None:
    """A description, which Dagster renders as Markdown, and a sentence, in which it makes links."""
    described, said = showing.description(value), showing.sentence(value)
    if _has_unseen(described) or _has_unseen(said):
        return "a description holds controls"
    tokens = [token for block in _MARKDOWN.parse(described) for token in (block, *(block.children or ()))]
    if {token.type for token in tokens} - _PLAIN:
        return "a description holds markup"
    text = "".join(token.content for token in tokens if token.type.startswith("text"))
    return "a description holds a link" if _LINK.search(text) or _LINK.search(said) else None


def _log(value: str) -> str | None:
    """An event with the value in message, arguments and exception."""
    try:
        raise ValueError(value)
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("gtmc", logging.ERROR, __file__, 1, "a value: %s", (value,), info)
    return "an event has more than one line, or controls" if _has_unseen(LineFormatter().format(record)) else None


def _has_unseen(text: str) -> bool:
    return any(unicodedata.category(character) in _UNSEEN for character in text)


@contextmanager
def _opened(_stage: Stage) -> Iterator[ValueAttack]:
    yield ValueAttack()


KIND = Kind("values", "a value does anything but be read: terminal, Dagster, log", 2_000, 60, _opened)
