"""Whatever number a vendor sends, what comes of it is within bounds."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msal
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors.fathom.api import FathomHttp
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.o365.tokens import _with_bounded_lives
from gtmc_pipelines.connectors.salesforce.api import SalesforceHttp
from gtmc_pipelines.connectors.salesforce.whole_records import answer_of
from gtmc_pipelines.connectors.vendor_numbers import (
    LONGEST_TOKEN_SECONDS,
    LONGEST_WAIT_SECONDS,
    MOST_COUNT,
    count_of,
    seconds_left,
    token_seconds,
    wait_seconds,
)
from gtmc_pipelines.model.errors import Broken, Defer, Retry
from gtmc_pipelines.workflows.faults import failure_of
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer

NOW = datetime(2026, 2, 28, 23, 59, 30, 500_000, UTC)
_DIGITS = st.text(st.characters(categories=["Nd", "No", "Nl"]), min_size=1, max_size=30)  # of any script
_SPELLINGS = st.one_of(
    st.text(max_size=60),
    _DIGITS,
    st.integers().map(str),
    st.floats().map(str),
    st.integers(1, 5_000).map("9".__mul__),
    st.integers(0, 999).map("1e{}".format),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: format_datetime(moment, usegmt=True)),
    st.integers().map("Mon, 02 Feb {} 00:00:00 GMT".format),
)
_ANYTHING = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _SPELLINGS, st.lists(st.integers()))


@given(_SPELLINGS)
def test_no_wait_is_longer_than_a_day(header: str) -> None:
    waited = wait_seconds(header, NOW)
    assert waited is None or 0 <= waited <= LONGEST_WAIT_SECONDS


@given(_SPELLINGS, st.floats(0, 1e6))
def test_no_window_is_longer_than_it_may_be(header: str, most: float) -> None:
    left = seconds_left(header, most)
    assert left is None or 0 <= left <= most


@given(_ANYTHING)
def test_a_count_is_one_that_can_be(value: Any) -> None:
    found = count_of(value)
    assert found is None or (isinstance(found, int) and 0 <= found <= MOST_COUNT)


@given(st.integers(0, MOST_COUNT))
def test_a_true_count_stays_what_it_is(count: int) -> None:
    assert count_of(count) == count_of(str(count)) == count


@given(_ANYTHING)
def test_a_token_lives_a_minute_to_a_day(value: Any) -> None:
    assert 60 <= token_seconds(value) <= LONGEST_TOKEN_SECONDS


@pytest.mark.parametrize("digits", ["٣٠", "３０", "²", "1_0", "0x10", "+5", "-5", "nan", "inf", "1e999"])
def test_what_only_looks_like_a_number_is_none(digits: str) -> None:
    assert wait_seconds(digits, NOW) is count_of(digits) is seconds_left(digits, 3600) is None


@pytest.mark.parametrize("wish", ["1e300", "9" * 300, "86400000", "Sat, 02 Feb 2319 00:00:00 GMT", "7300"])
def test_a_long_wish_defers_the_sync_by_a_day_at_most(vendor: ScriptedVendor, wish: str) -> None:
    vendor.script.append(answer(429, Retry_After=wish))
    with VendorSession("Acme", vendor.settings()) as session, pytest.raises(Defer) as caught:
        session.get(f"http://{vendor.host}/")
    ahead = caught.value.until - datetime.now(UTC)
    assert timedelta(hours=2) < ahead <= timedelta(hours=24)
    assert len(vendor.seen) == 1


@pytest.mark.parametrize("wish", ["-1", "nan", "inf", "1e999", "٣٦٠٠", "9" * 600])
def test_an_impossible_wish_is_no_wish(vendor: ScriptedVendor, wish: str) -> None:
    spelled = wish.encode().decode("latin-1")  # headers go over the wire as bytes
    vendor.script.extend([answer(503, Retry_After=spelled), answer(200, b"fine")])
    waits: list[float] = []
    with VendorSession("Acme", vendor.settings(), sleep=waits.append) as session:
        assert session.get(f"http://{vendor.host}/").content == b"fine"
    assert waits[0] <= 0.5


def test_a_wish_that_is_remembered_is_not_waited_for_any_longer(vendor: ScriptedVendor) -> None:
    with VendorSession("Acme", vendor.settings()) as session, pytest.raises(Retry) as caught:
        session.wait_as_asked(600.0)
    assert caught.value.after_seconds == 600.0


@given(st.floats(min_value=0, allow_infinity=True, allow_nan=False))
def test_temporal_is_never_told_to_wait_for_more_than_a_day(seconds: float) -> None:
    delay = failure_of(Retry("vendor_throttled", "It waits.", after_seconds=seconds)).next_retry_delay
    assert delay is not None
    assert delay <= timedelta(hours=24)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["expires_in", "ext_expires_in", "expires_on", "refresh_in"]), _ANYTHING))
def test_a_microsoft_token_is_kept_a_day_at_most(lives: dict[str, Any]) -> None:
    response = requests.Response()
    response._content = json.dumps({"access_token": "t", "token_type": "Bearer", **lives}).encode()
    cache = msal.TokenCache()
    event = {"response": json.loads(_with_bounded_lives(response).content), "client_id": "c", "scope": ["s"]}
    cache.add({**event, "token_endpoint": "https://login.example.test/directory/v2.0/token"})
    (kept,) = cache.search(msal.TokenCache.CredentialType.ACCESS_TOKEN)
    assert 0 < int(kept["expires_on"]) - time.time() <= LONGEST_TOKEN_SECONDS


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9), st.none()))
def test_a_number_of_records_is_one_or_the_answer_is_outside_its_contract(size: Any) -> None:
    found = answer_of(json.dumps({"done": True, "totalSize": size}).encode())
    if count_of(size) is not None:
        assert found.total_size == int(size)
        return
    with pytest.raises(Broken, match="number of records"):
        _ = found.total_size


@settings(max_examples=40)
@given(_SPELLINGS, _SPELLINGS, _SPELLINGS)
def test_gauges_and_windows_of_headers_are_bounded(remaining: str, limit: str, reset: str) -> None:
    response = requests.Response()
    response.headers.update({"RateLimit-Remaining": remaining, "RateLimit-Limit": limit, "RateLimit-Reset": reset})
    response.headers["Sforce-Limit-Info"] = f"api-usage={remaining}/{limit}"
    for kind, note in ((FathomHttp, FathomHttp._note_limits), (SalesforceHttp, SalesforceHttp._note_usage)):
        http = object.__new__(kind)
        http.gauges = {}
        note(http, response)  # type: ignore[arg-type]
        assert all(0 <= gauge <= MOST_COUNT for gauge in http.gauges.values())
    assert getattr(http, "_closed_until", 0.0) - time.monotonic() <= 3600
    assert "Sforce-Limit-Info" not in response.headers, "simple-salesforce would compute with it"
