"""The vendor's wish to wait is understood in every form and never undercut."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.retry import is_transient_status, retry_after_seconds

NOW = datetime(2026, 2, 28, 23, 59, 30, 500_000, UTC)


@pytest.mark.parametrize(("header", "seconds"), [("0", 0), ("7", 7), (" 1.5 ", 1.5), ("120", 120)])
def test_seconds_are_taken_as_they_are(header: str, seconds: float) -> None:
    assert retry_after_seconds(header, NOW) == seconds


@given(st.integers(0, 86_400))
def test_a_date_is_never_reached_too_early(ahead: int) -> None:
    stated = NOW.replace(microsecond=0) + timedelta(seconds=ahead)
    waited = retry_after_seconds(format_datetime(stated, usegmt=True), NOW)
    assert waited is not None
    assert NOW + timedelta(seconds=waited) >= stated


def test_a_date_in_the_past_means_no_wait() -> None:
    assert retry_after_seconds("Mon, 02 Feb 2026 00:00:00 GMT", NOW) == 0


@pytest.mark.parametrize("header", [None, "", "soon", "-5", "nan", "inf", "1e999", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_an_unusable_wish_is_no_wish(header: str | None) -> None:
    assert retry_after_seconds(header, NOW) is None


def test_only_answers_that_may_change_are_transient() -> None:
    transient = {status for status in range(100, 600) if is_transient_status(status)}
    assert {408, 420, 425, 429, 500, 502, 503, 504} <= transient
    assert not transient & {200, 300, 400, 401, 403, 404, 406, 409, 501}
