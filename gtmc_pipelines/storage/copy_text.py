"""PostgreSQL's COPY text format, written cheaply: most rows need no escaping, and only those that do pay for it.

Delimiter and null marker are control characters that ordinary data doesn't hold, so that tabs and
the usual `\\N` need no care (reference/performance.md, section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

SEPARATOR = "\x1f"
NULL = "\x1e"
OPTIONS = f"format text, delimiter '{SEPARATOR}', null '{NULL}', encoding 'UTF8'"

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", SEPARATOR: "\\" + SEPARATOR, NULL: "\\" + NULL})
_BYTE_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"), (b"\x1f", b"\\\x1f"), (b"\x1e", b"\\\x1e"))


def join(values: Sequence[str | None]) -> str:
    """The values as one row without its line end; None becomes the null marker."""
    row = SEPARATOR.join([NULL if value is None else value for value in values])
    if (
        "\\" in row
        or "\n" in row
        or "\r" in row
        or row.count(SEPARATOR) != len(values) - 1
        or row.count(NULL) != values.count(None)
    ):
        return SEPARATOR.join([NULL if value is None else escape(value) for value in values])
    return row


def nulls(columns: int) -> str:
    """A row of nothing but nulls."""
    return SEPARATOR.join([NULL] * columns)


def escape(value: str) -> str:
    """One value, safe inside a row."""
    return value.translate(_ESCAPES)


def escape_bytes(value: bytes) -> bytes:
    """The same for bytes that are already UTF-8."""
    for plain, escaped in _BYTE_ESCAPES:
        if plain in value:
            value = value.replace(plain, escaped)
    return value


def bytea(value: bytes) -> str:
    """Bytes in the hex form of `bytea`."""
    return "\\\\x" + value.hex()
