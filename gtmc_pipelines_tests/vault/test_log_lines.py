"""A log has one line an event, whatever is logged, and nothing in it that a terminal obeys."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given

from gtmc_pipelines.vault.log_lines import LineFormatter, fold, set_up_logging
from gtmc_pipelines.vault.redaction import RedactingFilter
from gtmc_pipelines_tests.model.test_shown_text import NASTY


def _record(message: str, error: Exception | None = None) -> logging.LogRecord:
    caught = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("gtmc", logging.ERROR, __file__, 1, "%s of %s", (message, message), caught)


@given(NASTY)
def test_an_event_is_one_line_of_visible_characters(message: str) -> None:
    try:
        raise ValueError(message)
    except ValueError as error:
        told = LineFormatter().format(_record(message, error))
    assert told.isprintable() or not [c for c in told if c in "\n\r\x1b\x85\x9b\u2028\u202e"]
    assert len(told.splitlines()) == 1
    assert "Traceback" in told


@given(NASTY)
def test_what_others_format_is_one_line_too(message: str) -> None:
    inner = logging.Formatter("\x1b[31m%(message)s\x1b[0m\n")
    told = LineFormatter(inner).format(_record(message))
    assert len(told.splitlines()) == 1
    assert "\x1b" not in told


def test_folding_another_librarys_logger_twice_changes_nothing_more() -> None:
    stream = io.StringIO()
    logger = logging.getLogger("folded.elsewhere")
    logger.addHandler(logging.StreamHandler(stream))
    logger.propagate = False
    fold(["folded.elsewhere"])
    fold(["folded.elsewhere"])
    logger.error("a\n\x1b]0;b\x07")
    assert stream.getvalue().endswith(" ERROR folded.elsewhere: a\\n\\x1b]0;b\\x07\n")


def test_a_process_of_ours_logs_so(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.Logger("root", logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    set_up_logging("INFO")
    (handler,) = root.handlers
    assert isinstance(handler.formatter, LineFormatter)
    assert [type(each) for each in handler.filters] == [RedactingFilter]
    set_up_logging("INFO", is_ours=False)
    assert root.handlers == [handler]
