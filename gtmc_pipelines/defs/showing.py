"""What Dagster shows of values from outside: text, and nothing that its pages make a link, an image or a form of.

The only place in this room that makes texts, tables and links of metadata and that writes log lines. Dagster's pages
render Markdown in `MetadataValue.md` and in every description (of a check's answer, of an event, of a column), images
included, and make links of addresses in log lines. So nothing here is `md`; tables and texts are shown as they are;
in a description Markdown's characters are escaped; and an address from outside is written so that nobody follows it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from string import Formatter
from typing import Any, Protocol

import dagster as dg

from gtmc_pipelines.model.shown_text import shown, unlinked
from gtmc_pipelines.vault.log_lines import fold, set_up_logging

LONGEST_TEXT = 4_000
"""Characters of a text, a cell or a description; what is longer ends with `…`."""

_LOGGERS = ("dagster", "dagster-webserver", "dagit")
_MARKDOWN = re.compile(r"[\\`*\[<&~]|(?<![^\W_])_|_(?![^\W_])")
_BLOCK = re.compile(r"^(\d{1,9})(?=[.)])|^(?=[#+=>-])")
"""What begins a heading, a list, a quotation or a line when a description begins with it."""


def text(value: object) -> dg.TextMetadataValue:
    """A text on one line."""
    return dg.MetadataValue.text(_cut(shown(value)))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.TableMetadataValue:
    """A table of texts and numbers; `columns` are words of ours, moments are shown to the minute in UTC."""
    records = [dg.TableRecord(dict(zip(columns, map(_cell, row), strict=True))) for row in rows]
    return dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(name) for name in columns]))


def named(values: Mapping[str, object]) -> dg.JsonMetadataValue:
    """Texts by their names, as JSON."""
    return dg.MetadataValue.json({shown(name): _cut(shown(value)) for name, value in values.items()})


def link(address: str) -> dg.UrlMetadataValue | dg.TextMetadataValue:
    """A link to an address of ours, made from a setting and ids; a text when it leads anywhere but to a web page."""
    is_web = address.startswith(("https://", "http://")) and shown(address) == address
    return dg.MetadataValue.url(address) if is_web else text(address)


def description(value: object) -> str:
    """A sentence for a field that Dagster renders as Markdown: every character of it is shown, none does anything."""
    return _BLOCK.sub(r"\1\\", _MARKDOWN.sub(r"\\\g<0>", unlinked(_cut(value)).lstrip()))


def sentence(value: object) -> str:
    """A sentence for a field that Dagster shows as text but makes links in: a failure's, a skipped tick's."""
    return unlinked(_cut(value))


class Logged(Protocol):
    """A context of Dagster's, of an op or a sensor."""

    @property
    def log(self) -> logging.Logger:
        """Its logger."""
        ...


class Address(str):
    """An address of ours in a log line, which stays a link."""

    __slots__ = ()


class Log:
    """Writes lines to a run's or a tick's log: one line each, values from outside as text."""

    def __init__(self, context: Logged) -> None:
        self._log = context.log

    def info(self, template: str, *values: object) -> None:
        """Our own words, with values in their `{}`."""
        self._log.info(_line(template, values))

    def warning(self, template: str, *values: object) -> None:
        """The same for what somebody should look at."""
        self._log.warning(_line(template, values))

    def error(self, template: str, *values: object) -> None:
        """The same for what went wrong."""
        self._log.error(_line(template, values))


def one_line_logs() -> None:
    """What this process logs, Dagster's own lines too, has one line an event. A process's own handlers stay."""
    set_up_logging("WARNING", is_ours=False)
    fold(_LOGGERS)


class _Line(Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        form = shown if isinstance(value, Address) else unlinked
        return form(format(value, format_spec))


def _line(template: str, values: Sequence[object]) -> str:
    return _Line().vformat(template, values, {})


def _cell(value: object) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return _cut(shown(value))


def _cut(value: object) -> str:
    told = str(value)
    return told if len(told) <= LONGEST_TEXT else told[: LONGEST_TEXT - 1] + "…"
