"""Logs: one line an event, whatever is in it, in every process.

A newline in a vendor's value would begin a line that looks like an event of ours, an escape sequence would reach the
terminal of whoever reads the log. So every control character is written out, those of tracebacks too
(`sed 's/\\\\n/\\n/g'` unfolds them).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from gtmc_pipelines.model.shown_text import shown
from gtmc_pipelines.vault.redaction import RedactingFilter, Redactor

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


class LineFormatter(logging.Formatter):
    """One line for each record, nothing in it that a terminal obeys. Given another formatter, that one writes the
    record, less its colours.
    """

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__(_FORMAT)
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without a line's end."""
        if self._inner is None:
            return shown(super().format(record))
        return shown(_COLOURS.sub("", self._inner.format(record)))


def set_up_logging(level: str, redactor: Redactor | None = None, *, is_ours: bool = True) -> None:
    """Log to stderr, every event one redacted line. Unless the process `is_ours`, handlers that are there stay."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    handler.addFilter(RedactingFilter(redactor))
    logging.basicConfig(level=level, handlers=[handler], force=is_ours)
    logging.getLogger("urllib3").setLevel(max(logging.INFO, logging.getLogger().level))  # at DEBUG it logs whole URLs


def fold(loggers: Iterable[str]) -> None:
    """Make the handlers of other people's loggers write one line an event. Doing it twice changes nothing."""
    for name in loggers:
        for handler in logging.getLogger(name).handlers:
            if not isinstance(handler.formatter, LineFormatter):
                handler.setFormatter(LineFormatter(handler.formatter))
