"""What of a record can't be read: a mark stands in its place, which whoever reads the record later finds again.

Marks are noncharacters of Unicode, which no text of a vendor may hold when it is exchanged (those that do lose them to
U+FFFD first). A record with one is kept as far as it can be read, and becomes no row.
"""

from __future__ import annotations

import codecs
import re

BAD_UNICODE, TOO_DEEP, NO_NUMBER = "\ufdd0", "\ufdd1", "\ufdd2"
"""Stand for bytes that are no UTF-8, for a value nested too deeply, and for a number beyond every bound."""

MOST_DEPTH = 100
"""Levels of objects and lists that a record may have. Parsers give up at about a thousand, or end the process."""

ON_BAD_BYTES = "gtmc.bad_unicode"
"""Name of the error handler of `bytes.decode` that leaves BAD_UNICODE for what can't be decoded."""

_REASONS = {
    BAD_UNICODE.encode(): "bad_unicode",
    TOO_DEEP.encode(): "too_deep",
    NO_NUMBER.encode(): "number_out_of_range",
}
_LEAD = b"\xef\xb7"
_MARKS = re.compile(b"\xef\xb7[\x90-\x92]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()
_BRACKETS = re.compile(rb'[\[{\]}]|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)  # strings are passed over whole
_OPENING = b"[{"


def fault_of(payload: bytes) -> str | None:
    """Why a record can't become a row whatever its mapping: a reason code, or None for nearly all."""
    if _LEAD in payload:
        for mark, reason in _REASONS.items():
            if mark in payload:
                return reason
    if payload.count(b"{") + payload.count(b"[") > MOST_DEPTH and shallow(payload) is not payload:
        return "too_deep"
    return None


def unmarked(data: bytes) -> bytes:
    """The data with U+FFFD for what the vendor sent in the form of our marks."""
    return _MARKS.sub(_REPLACEMENT, data) if _LEAD in data else data


def shallow(data: bytes, most: int = MOST_DEPTH) -> bytes:
    """JSON with TOO_DEEP for each value nested more than `most` levels; the same object when there is none."""
    kept: list[bytes] = []
    depth = after = 0
    for found in _BRACKETS.finditer(data):
        first = found[0][:1]
        if first == b'"':
            continue
        if first in _OPENING:
            depth += 1
            if depth == most + 1:
                kept.append(data[after : found.start()])
        else:
            if depth == most + 1:
                after = found.end()
                kept.append(f'"{TOO_DEEP}"'.encode())
            depth -= 1
    if not kept or depth > 0:
        return data
    return b"".join([*kept, data[after:]])


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return BAD_UNICODE, error.end


codecs.register_error(ON_BAD_BYTES, _mark)
