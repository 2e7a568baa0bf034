"""Taking a vendor's JSON page apart without re-encoding it, and repairing what strict parsers refuse.

Records stay the vendor's own bytes. Only two things are changed, because PostgreSQL can't store them:
an escaped NUL and half of a surrogate pair become U+FFFD. A page with NaN or other lenient JSON is
parsed a second time with exact decimals. What nobody can read of a record (bytes that are no UTF-8, hundreds
of levels, numbers beyond every bound) is marked in its place (`model.unreadable`): it costs its record, not the page.
"""

from __future__ import annotations

import codecs
import json
import re
import threading
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TypeVar

import msgspec

from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.unreadable import MOST_DEPTH, NO_NUMBER, ON_BAD_BYTES, shallow, unmarked

_Page = TypeVar("_Page")

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a record may raise."""

MOST_VALUES = 2_000_000
"""Values an answer may hold. A value takes up to 200 bytes of memory, be it two bytes of the body; the fullest honest
page there is, 2,000 records of Salesforce with 800 fields each, has 1.6 million.
"""

_PIECE_BYTES = 1024 * 1024
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F]|[fF][dD][dD][012])")
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair: kept
    rb"|\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2}|[fF][dD][dD][012])"  # NUL, half a pair, or a mark of ours
    rb"|\\.",  # any other escape, so that an escaped backslash is not misread
    re.DOTALL,
)
_LEVELS_OF_A_PAGE = 10  # around its records
_EXACT = msgspec.json.Encoder(decimal_format="number")
_one_at_a_time = threading.Lock()  # what the patient parser takes of the memory, and of the interpreter


def decode_page(body: bytes, decoder: msgspec.json.Decoder[_Page], vendor: str) -> _Page:
    """The page as `decoder`'s type. Raises Broken (`unparsable_page`), without any of its text."""
    if has_too_many_values(body):
        raise _unparsable(vendor)
    with suppress(*UNREADABLE):  # the patient parser below has the last word
        _require_utf8(body)
        return decoder.decode(mended(body))
    try:
        return _patiently(body, decoder)
    except (ValueError, TypeError, ArithmeticError, RecursionError, msgspec.MsgspecError):
        raise _unparsable(vendor) from None


def has_too_many_values(body: bytes) -> bool:
    """Whether JSON would take many times its size once it is read: 250 MB of empty lists become 16 GB."""
    return len(body) > MOST_VALUES and sum(body.count(each) for each in b",[{") > MOST_VALUES


def _unparsable(vendor: str) -> Broken:
    return Broken(
        "unparsable_page",
        f"{vendor} sent a page that is not the JSON its contract promises.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )


def _require_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError when it is none: msgspec doesn't look into the parts it keeps raw.

    By pieces: the text of a large page would be as large again.
    """
    decoder, view = codecs.getincrementaldecoder("utf-8")(), memoryview(body)
    for start in range(0, len(body), _PIECE_BYTES):
        decoder.decode(view[start : start + _PIECE_BYTES])
    decoder.decode(b"", final=True)


def mended(data: bytes) -> bytes:
    """JSON with escaped NULs and lone surrogates replaced by U+FFFD; the same object when there are none."""
    data = unmarked(data)
    if not _SUSPECT.search(data):
        return data
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], data)


def _patiently(body: bytes, decoder: msgspec.json.Decoder[_Page]) -> _Page:
    data = shallow(_marked(body), MOST_DEPTH + _LEVELS_OF_A_PAGE)
    with suppress(*UNREADABLE):
        return decoder.decode(data)
    with _one_at_a_time:
        lenient = json.loads(data, parse_float=_exact, parse_int=_exact, parse_constant=_no_number, strict=False)
        data = _EXACT.encode(_storable(lenient))
    return decoder.decode(data)


def _marked(body: bytes) -> bytes:
    """The page in UTF-8, with marks for bytes that are none."""
    encoding = json.detect_encoding(body)
    if encoding.startswith("utf-8"):
        return mended(body.removeprefix(codecs.BOM_UTF8)).decode(errors=ON_BAD_BYTES).encode()
    return mended(body.decode(encoding, "replace").encode(errors="replace"))


def _exact(digits: str) -> Decimal | str:
    try:
        return Decimal(digits)
    except InvalidOperation:
        return NO_NUMBER


def _no_number(_: str) -> None:
    """NaN and Infinity are no value."""


def _storable(value: object) -> object:
    """The value with lone surrogates in its texts replaced, so that it can be encoded at all."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {str(_storable(key)): _storable(item) for key, item in value.items()}
    return value
