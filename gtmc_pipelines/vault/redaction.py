"""Redaction: keeps secrets and e-mail addresses out of every text that leaves the process.

Two nets: values we know to be secret (remembered when they are opened), and shapes that secrets
have wherever they come from. `RedactingFilter` puts both under a logger.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
from collections.abc import Iterable
from urllib.parse import quote

from gtmc_pipelines.vault.masking import EMAIL, mask_personal
from gtmc_pipelines.vault.secret import DOTS, Secret

__all__ = ["RedactingFilter", "Redactor", "mask_personal"]

_SHORTEST_SECRET = 6  # characters; shorter values would blot out ordinary words
_MOST_REMEMBERED = 10_000
_NAMES = (
    "access_token|refresh_token|id_token|client_secret|code_verifier|client_assertion|assertion|api_?key|x-api-key"
    "|password|passwd|secret|sessionid|session_id|authorization"
)
_LOGIN = r"\b(?:\w{2,20}:/|postgres\w*:|https?:)/[^\s:/\[]{0,100}"
"""A URL up to the colon behind a user name, or behind a host."""
_PORT = r"\d{1,5}(?:[/?#\s\"',;).]|$)"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic|oauth|token)(\s+)[\w.!~+/=-]{8,}"), rf"\1\2{DOTS}"),
    (re.compile(rf"(?i)((?:{_NAMES})[\"']?\s*[=:]\s*)([\"'])(?:\\.|(?!\2).){{1,2000}}\2"), rf"\1\2{DOTS}\2"),
    (re.compile(r"(?i)(\b(?:password|passwd|client_secret)=)(?![\"'])[^\s&]+"), rf"\1{DOTS}"),
    (re.compile(rf"(?i)((?:{_NAMES})[\"']?\s*[=:]\s*[\"']?)(?!(?:bearer|basic)\s)[^\s&\"',;}}]+"), rf"\1{DOTS}"),
    (re.compile(r"(?i)([?&](?:code|state|sig|sid)=)[^\s&\"']+"), rf"\1{DOTS}"),
    # To the last @ of the line, or of the word where a port may stand: passwords hold characters nobody wrote as %40.
    (re.compile(rf"({_LOGIN}:)(?!{_PORT})[^\n]{{1,2000}}@"), rf"\1{DOTS}@"),
    (re.compile(rf"({_LOGIN}:)\S{{1,2000}}@"), rf"\1{DOTS}@"),
    (re.compile(rf"({_LOGIN}:)(?!{_PORT})[^\s{DOTS[0]}]\S*"), rf"\1{DOTS}"),
    (re.compile(r"(https?://)[^\s:/@]{1,500}@"), rf"\1{DOTS}@"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), DOTS),
    (re.compile(r"\b00D\w{12,15}![\w.]{20,}"), DOTS),
    (re.compile(r"\bgtmc2\.[0-9a-f]{8}\.[\w-]{20,}"), DOTS),
    (re.compile(r"(?i)(?<![0-9a-f])[0-9a-f]{32,}(?![0-9a-f])"), DOTS),
    (EMAIL, "[email]"),
)


class Redactor:
    """Masks known secret values, longest first, then known shapes. Safe to share between threads.

    Values shorter than six characters are not remembered. It remembers at most 10,000 forms and
    forgets the oldest beyond that; the shapes still hold then.
    """

    def __init__(self, secrets: Iterable[str | Secret] = ()) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, None] = {}
        self._pattern: re.Pattern[str] | None = None
        self.remember(*secrets)

    def __repr__(self) -> str:
        return f"Redactor({len(self._known)} values)"

    def remember(self, *secrets: str | Secret) -> None:
        """Mask these values from now on, also as they look inside a URL or a JSON text."""
        with self._lock:
            for secret in secrets:
                value = secret.reveal() if isinstance(secret, Secret) else secret
                if len(value) < _SHORTEST_SECRET:
                    continue
                for form in (value, quote(value, safe="", errors="replace"), json.dumps(value)[1:-1]):
                    self._known.pop(form, None)
                    self._known[form] = None
            for oldest in list(self._known)[: max(0, len(self._known) - _MOST_REMEMBERED)]:
                del self._known[oldest]
            longest_first = sorted(self._known, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def redact(self, text: str) -> str:
        """`text` with every known value and every known shape masked."""
        pattern = self._pattern
        if pattern is not None:
            text = pattern.sub(DOTS, text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text


class RedactingFilter(logging.Filter):
    """Puts a Redactor under a handler (or logger): message, arguments, exception and stack texts.

    A record it changes carries its finished message and no arguments; a traceback is turned into
    text here, since nothing after this point could redact it.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__()
        self.redactor = redactor or Redactor()

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact in place; every record passes."""
        redact = self.redactor.redact
        message = _message_of(record)
        redacted = redact(message)
        if redacted != message:
            record.msg, record.args = redacted, None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
            record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True


def _message_of(record: logging.LogRecord) -> str:
    """The finished message; a record whose arguments don't fit keeps its pattern and loses them."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        record.args = None
        return str(record.msg)
