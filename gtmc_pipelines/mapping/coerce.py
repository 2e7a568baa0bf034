"""Coercions: one JSON value to PostgreSQL's text form of a column type, exactly or not at all.

Each takes the value and the name of its source field, gives text or None (empty means null) and
raises Reject otherwise. Numbers arrive as int or Decimal, never as float: money loses no digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from gtmc_pipelines.mapping.reasons import reject
from gtmc_pipelines.model.entities import Kind
from gtmc_pipelines.model.errors import Reject

INT_MIN, INT_MAX = -(2**31), 2**31 - 1
MOST_DIGITS = 100
LONGEST_TEXT = 1_000_000  # characters

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?").fullmatch
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
).fullmatch
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON = msgspec.json.Encoder(decimal_format="number")


def text_text(value: Any, field: str) -> str | None:
    """Text as it is; numbers with their own digits; booleans as true or false."""
    if type(value) is str:
        return value or None
    if value is None:
        return None
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int | Decimal):
        return numeric_text(value, field)
    raise reject("not_text", field)


def integer_text(value: Any, field: str) -> str | None:
    """A whole number that fits PostgreSQL's integer; `12.0` and `"12"` count, `true` doesn't."""
    if type(value) is not int:
        if type(value) is str:
            value = value.strip()
            if not value:
                return None
            if not _NUMBER(value):
                raise reject("not_an_integer", field)
            value = Decimal(value)
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise reject("not_an_integer", field)
        if value.adjusted() > 20:
            raise reject("integer_out_of_range", field)
        if value != value.to_integral_value():
            raise reject("not_an_integer", field)
        value = int(value)
    if not INT_MIN <= value <= INT_MAX:
        raise reject("integer_out_of_range", field)
    return str(value)


def numeric_text(value: Any, field: str) -> str | None:
    """A decimal with all its digits, without exponent."""
    if type(value) is str:
        value = value.strip()
        if not value:
            return None
        if not _NUMBER(value):
            raise reject("not_a_number", field)
        value = Decimal(value)
    if value is None:
        return None
    if isinstance(value, Decimal):
        return _plain(value, field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise reject("not_a_number", field)
    if abs(value) >= 10**MOST_DIGITS:
        raise reject("number_out_of_range", field)
    return str(value)


def _plain(value: Decimal, field: str) -> str:
    if not value.is_finite():
        raise reject("not_a_number", field)
    text = str(value)
    if "E" not in text and len(text) <= MOST_DIGITS:
        return text
    exponent = value.as_tuple().exponent
    if value.adjusted() >= MOST_DIGITS or (isinstance(exponent, int) and -exponent > MOST_DIGITS):
        raise reject("number_out_of_range", field)
    return f"{value:f}"


def boolean_text(value: Any, field: str) -> str | None:
    """`true` or `false`, from a boolean, 0 or 1, or the usual words."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return None
    if isinstance(value, str):
        word = value.strip().lower()
        if not word:
            return None
    else:
        word = str(value) if type(value) is int else ""
    if word in _TRUE:
        return "true"
    if word in _FALSE:
        return "false"
    raise reject("not_a_boolean", field)


def timestamp_text(value: Any, field: str) -> str | None:
    """A moment in UTC: ISO 8601 (without a zone: UTC; a date alone: its midnight) or seconds since 1970."""
    moment = moment_of(value, field)
    return None if moment is None else moment.isoformat(" ")


def date_text(value: Any, field: str) -> str | None:
    """A calendar day; of a full time, its day in UTC."""
    if not isinstance(value, str | None):
        raise reject("not_a_date", field)
    try:
        moment = moment_of(value, field)
    except Reject as refusal:
        code = "not_a_date" if refusal.code == "not_a_timestamp" else refusal.code
        raise reject(code, field) from None
    return None if moment is None else moment.date().isoformat()


def moment_of(value: Any, field: str) -> datetime | None:
    """The aware UTC datetime behind `timestamp_text`."""
    if type(value) is str:
        value = value.strip()
        if not value:
            return None
        if not (_looks_common(value) or _TIME(value)):
            raise reject("not_a_timestamp", field)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise reject("not_a_timestamp", field) from None
        return _in_utc(moment, field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise reject("not_a_timestamp", field)
    return _from_seconds(value, field)


def _looks_common(value: str) -> bool:
    """True for `2026-01-31T10:00:00`, a fraction and a zone: the rest is the parser's to check, at half the cost."""
    return len(value) in (20, 24, 28) and value[4] == value[7] == "-" and value[10] == "T" and value[19] in ".Z"


def _in_utc(moment: datetime, field: str) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise reject("time_out_of_range", field) from None


def _from_seconds(seconds: int | Decimal, field: str) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=int(Decimal(seconds) * 1_000_000))
    except (OverflowError, InvalidOperation, ValueError):
        raise reject("time_out_of_range", field) from None


def parse_number(digits: str) -> Decimal:
    """The number behind `numeric_text`."""
    return Decimal(digits)


def json_text(value: Any, field: str) -> str | None:
    """Compact JSON; decimals keep their digits, null and the empty text are null."""
    if value is None or value == "":
        return None
    try:
        text = _JSON.encode(_finite(value, field)).decode()
    except UnicodeEncodeError:
        raise reject("bad_unicode", field) from None
    except RecursionError:
        raise reject("too_deep", field) from None
    except (TypeError, ValueError, OverflowError):
        raise reject("not_json", field) from None
    if len(text) > LONGEST_TEXT:
        raise reject("text_too_long", field)
    return text


def _finite(value: Any, field: str) -> Any:
    """`value`, once every number in it is known to be one PostgreSQL's jsonb takes."""
    if isinstance(value, Decimal):
        numeric_text(value, field)
    elif isinstance(value, dict):
        for item in value.values():
            _finite(item, field)
    elif isinstance(value, list):
        for item in value:
            _finite(item, field)
    return value


COERCIONS: dict[Kind, Callable[[Any, str], str | None]] = {
    Kind.TEXT: text_text,
    Kind.INTEGER: integer_text,
    Kind.NUMERIC: numeric_text,
    Kind.BOOLEAN: boolean_text,
    Kind.TIMESTAMP: timestamp_text,
    Kind.DATE: date_text,
    Kind.JSON: json_text,
}
"""The coercion of each column type."""
