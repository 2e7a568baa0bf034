"""Coercions as tables: numbers, times, booleans and texts become PostgreSQL's text form, or a reason code."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.mapping.coerce import COERCIONS, timestamp_text
from gtmc_pipelines.mapping.decode import exact_number
from gtmc_pipelines.mapping.reasons import REASONS
from gtmc_pipelines.model.entities import Kind
from gtmc_pipelines.model.errors import Reject


def outcome(kind: Kind, value: Any) -> str | None:
    """The text, or the reason code with an exclamation mark before it."""
    try:
        return COERCIONS[kind](value, "Field__c")
    except Reject as refusal:
        return "!" + refusal.code


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, "12"),
        ("12", "12"),
        (" -7 ", "-7"),
        ("+5", "5"),
        (Decimal("12.0"), "12"),
        ("1e3", "1000"),
        ("", None),
        ("  ", None),
        (None, None),
        (2147483647, "2147483647"),
        (-2147483648, "-2147483648"),
        (2147483648, "!integer_out_of_range"),
        ("99999999999", "!integer_out_of_range"),
        (Decimal("1e400"), "!integer_out_of_range"),
        (Decimal("12.5"), "!not_an_integer"),
        ("1,234", "!not_an_integer"),
        ("1_000", "!not_an_integer"),
        ("0x1F", "!not_an_integer"),
        ("٣", "!not_an_integer"),
        (True, "!not_an_integer"),
        (Decimal("NaN"), "!not_an_integer"),
        ([1], "!not_an_integer"),
    ],
)
def test_integers_are_whole_and_fit_their_column(value: Any, expected: str | None) -> None:
    assert outcome(Kind.INTEGER, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, "12"),
        (-5, "-5"),
        (Decimal("1234.50"), "1234.50"),
        ("1234.50", "1234.50"),
        (Decimal("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
        (Decimal("12345678901234567890123456789012345678.99"), "12345678901234567890123456789012345678.99"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1.5E-7"), "0.00000015"),
        (10**30, "1" + "0" * 30),
        (".5", "0.5"),
        ("5.", "5"),
        ("", None),
        ("1,234.50", "!not_a_number"),
        ("€5", "!not_a_number"),
        ("NaN", "!not_a_number"),
        ("Infinity", "!not_a_number"),
        ("1_000", "!not_a_number"),
        ("0x1F", "!not_a_number"),
        (Decimal("NaN"), "!not_a_number"),
        (Decimal("Infinity"), "!not_a_number"),
        (True, "!not_a_number"),
        ({}, "!not_a_number"),
        (Decimal("1e400"), "!number_out_of_range"),
        (Decimal("1e-400"), "!number_out_of_range"),
        (10**100, "!number_out_of_range"),
    ],
)
def test_money_keeps_every_digit_or_is_refused(value: Any, expected: str | None) -> None:
    assert outcome(Kind.NUMERIC, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31T10:00:00.000+0000", "2026-01-31 10:00:00+00:00"),
        ("2026-01-31T10:00:00Z", "2026-01-31 10:00:00+00:00"),
        ("2026-01-31T10:00:00.123Z", "2026-01-31 10:00:00.123000+00:00"),
        ("2026-01-31T10:00:00.1234567Z", "2026-01-31 10:00:00.123456+00:00"),
        ("2026-01-31T10:00:00", "2026-01-31 10:00:00+00:00"),
        ("2026-01-31 10:00", "2026-01-31 10:00:00+00:00"),
        ("2026-01-31T10:00:00+02:00", "2026-01-31 08:00:00+00:00"),
        ("2026-01-31T23:30:00-0530", "2026-02-01 05:00:00+00:00"),
        ("2026-01-31", "2026-01-31 00:00:00+00:00"),
        ("2024-02-29", "2024-02-29 00:00:00+00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31 23:59:59+00:00"),
        (0, "1970-01-01 00:00:00+00:00"),
        (1769853600, "2026-01-31 10:00:00+00:00"),
        (Decimal("1769853600.5"), "2026-01-31 10:00:00.500000+00:00"),
        ("", None),
        (None, None),
        ("2026-02-30", "!not_a_timestamp"),
        ("2025-02-29T00:00:00Z", "!not_a_timestamp"),
        ("2016-12-31T23:59:60Z", "!not_a_timestamp"),
        ("2026-01-31T24:00:00Z", "!not_a_timestamp"),
        ("2026-W05-6", "!not_a_timestamp"),
        ("2026-W05-6T10:00:00.00+0000", "!not_a_timestamp"),
        ("20260131", "!not_a_timestamp"),
        ("20260131T100000Z", "!not_a_timestamp"),
        ("31.01.2026", "!not_a_timestamp"),
        ("1769853600", "!not_a_timestamp"),
        ("now", "!not_a_timestamp"),
        ("today", "!not_a_timestamp"),
        ("infinity", "!not_a_timestamp"),
        ("epoch", "!not_a_timestamp"),
        ("2026-01-31T10:00:00+99:00", "!not_a_timestamp"),
        ("２０２６-01-31", "!not_a_timestamp"),
        (True, "!not_a_timestamp"),
        (["2026-01-31"], "!not_a_timestamp"),
        ("0001-01-01T00:00:00+14:00", "!time_out_of_range"),
        ("9999-12-31T23:59:59-01:00", "!time_out_of_range"),
        (1769853600000, "!time_out_of_range"),
        (10**400, "!time_out_of_range"),
        (Decimal("1e400"), "!time_out_of_range"),
        (Decimal("NaN"), "!time_out_of_range"),
    ],
)
def test_times_become_utc_and_never_now(value: Any, expected: str | None) -> None:
    assert outcome(Kind.TIMESTAMP, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T23:30:00-05:00", "2026-02-01"),
        ("", None),
        ("2026-02-30", "!not_a_date"),
        ("tomorrow", "!not_a_date"),
        (20260131, "!not_a_date"),
        (True, "!not_a_date"),
    ],
)
def test_dates_are_calendar_days(value: Any, expected: str | None) -> None:
    assert outcome(Kind.DATE, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        ("TRUE", "true"),
        (" no ", "false"),
        (1, "true"),
        (0, "false"),
        ("", None),
        (None, None),
        (2, "!not_a_boolean"),
        (Decimal("1.0"), "!not_a_boolean"),
        ("maybe", "!not_a_boolean"),
        ([], "!not_a_boolean"),
    ],
)
def test_booleans_take_the_usual_words_only(value: Any, expected: str | None) -> None:
    assert outcome(Kind.BOOLEAN, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", None),
        (12, "12"),
        (Decimal("1.10"), "1.10"),
        (True, "true"),
        ({"a": 1}, "!not_text"),
        (["a"], "!not_text"),
    ],
)
def test_texts_take_scalars_with_their_own_digits(value: Any, expected: str | None) -> None:
    assert outcome(Kind.TEXT, value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": Decimal("1.10"), "b": [None, True]}, '{"a":1.10,"b":[null,true]}'),
        ("text", '"text"'),
        ([], "[]"),
        ("", None),
        (None, None),
        ({"a": Decimal("NaN")}, "!not_a_number"),
        ({"a": "\ud83d"}, "!bad_unicode"),
        ("x" * 1_000_001, "!text_too_long"),
    ],
)
def test_json_is_compact_and_keeps_its_digits(value: Any, expected: str | None) -> None:
    assert outcome(Kind.JSON, value) == expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_any_amount_survives_exactly(amount: Decimal) -> None:
    text = outcome(Kind.NUMERIC, exact_number(str(amount)))
    assert text is not None
    assert Decimal(text) == amount
    assert "E" not in text


@given(st.datetimes(timezones=st.timezones()))
def test_any_moment_with_an_offset_is_the_same_moment_in_utc(moment: datetime) -> None:
    try:
        expected = moment.astimezone(UTC)
    except OverflowError:
        return
    offset = moment.utcoffset()
    if offset is None or offset.total_seconds() % 60:
        return
    text = timestamp_text(moment.isoformat(), "f")
    assert text is not None
    assert datetime.fromisoformat(text) == expected


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.decimals(), st.lists(st.text())))
def test_no_value_gives_anything_but_text_or_a_known_reason(value: Any) -> None:
    for kind in Kind:
        text = outcome(kind, value)
        assert text is None or text[:1] != "!" or text[1:] in REASONS or kind in (Kind.TEXT, Kind.JSON)
