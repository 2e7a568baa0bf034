"""Files that people write, on any system: UTF-8 with or without a byte order mark, UTF-16 with one, any line ends."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(file: Path, most: int) -> str:
    """At most `most` characters of a file, or of standard input for '-'; lines end in a newline.

    Raises OSError when there is no such file, and UnicodeDecodeError when it is no text.
    """
    if str(file) != "-":
        with file.open("rb") as opened:
            return decoded(opened.read(4 * most + 4))[:most]
    source = getattr(sys.stdin, "buffer", None)
    if source is None:  # a stand-in that has characters only
        return _plain(sys.stdin.read(most + 1))[:most]
    return decoded(source.read(4 * most + 4))[:most]


def decoded(data: bytes) -> str:
    """The text of a file's bytes, without the mark. Raises UnicodeDecodeError."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    return _plain(codecs.getincrementaldecoder(encoding)().decode(data))  # a character cut off at the end is left out


def _plain(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
