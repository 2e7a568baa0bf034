"""What a raw table can hold of a record whose payload PostgreSQL's jsonb refuses.

It takes no NUL character, no half of a surrogate pair and no number beyond numeric. A value with one of those is
replaced by an object that says why, `{"unstorable": "nul_character"}`: wherever one value belongs, a mapping can't
read it again later either, and nothing is made up.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SHORT = 18  # digits of a whole number that every parser holds
_MOST_DIGITS = 16_000  # numeric holds 131,072 before and 16,383 after the point


def landable(payload: bytes) -> bytes | None:
    """The payload with what jsonb refuses replaced; None when it is no JSON or nothing needs replacing."""
    try:
        document = json.loads(payload.decode("utf-8-sig"), parse_float=_exact, parse_int=_exact)
        cleaned = _cleaned(document)
        return None if cleaned == document else _ENCODER.encode(cleaned)
    except (ValueError, RecursionError, OverflowError, TypeError):
        return None


def _exact(digits: str) -> int | Decimal:
    """The number with all its digits; NaN for one beyond every bound."""
    try:
        return int(digits) if len(digits) < _SHORT and digits.lstrip("-").isdigit() else Decimal(digits)
    except InvalidOperation:
        return Decimal("NaN")


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    reason = _refusal(value)
    return value if reason is None else {"unstorable": reason}


def _refusal(value: Any) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "nul_character"
        return "bad_unicode" if any("\ud800" <= each <= "\udfff" for each in value) else None
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        is_far = not isinstance(exponent, int) or abs(value.adjusted()) > _MOST_DIGITS or -exponent > _MOST_DIGITS
        return "number_out_of_range" if is_far else None
    if isinstance(value, float):
        return "number_out_of_range" if value != value or value in (float("inf"), float("-inf")) else None
    return None


def _key(key: str) -> str:
    return key.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
