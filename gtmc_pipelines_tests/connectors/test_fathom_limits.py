"""Fathom's limits are used well and never exceeded: the journal says so."""

from __future__ import annotations

from typing import Any

import pytest

from gtmc_pipelines.connectors.fathom.api import DEFAULT_HEAVY_LIMIT, DEFAULT_LIMIT, DEFAULT_SECONDS
from gtmc_pipelines_tests.connectors.fathom_scene import Account, assert_is_truth
from gtmc_pipelines_tests.connectors.vendor_scene import since, soon

pytestmark = pytest.mark.services


def _most_in(moments: list[float], seconds: float) -> int:
    """The most moments inside any window of so many seconds."""
    return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


def _read(account: Account, **options: Any) -> list[float]:
    """Really wait; the moments at which meetings and recordings were asked for."""
    assert_is_truth(account.read(really_waits=True, **options), account.truth())
    entries = account.requests("/external/v1/")
    assert {entry["status"] for entry in entries} == {200}
    return [entry["at"] for entry in entries]


def test_the_documented_limits_are_the_defaults() -> None:
    assert (DEFAULT_LIMIT, DEFAULT_HEAVY_LIMIT, DEFAULT_SECONDS) == (60, 30, 60)


def test_with_latency_most_of_the_allowed_rate_is_used_and_never_more(fathom: Account) -> None:
    fathom.mutate("create", count=275)
    fathom.break_("slow", latency_ms=100)
    fathom.break_("rate_window", limit=24, heavy_limit=12, seconds=3)
    moments = _read(fathom, rate_limit=24, heavy_rate_limit=12, rate_seconds=3)
    assert len(moments) == 30
    assert _most_in(moments, 3.0) <= 12
    windows_begun = int((moments[-1] - moments[0]) / 3.0) + 1
    assert len(moments) >= 0.6 * 12 * windows_begun


def test_one_by_one_the_rate_is_kept_as_well(fathom: Account) -> None:
    fathom.break_("rate_window", limit=60, heavy_limit=30, seconds=1)
    moments = _read(fathom, include_mode="recordings", rate_limit=60, heavy_rate_limit=30, rate_seconds=1)
    assert len(moments) == 53
    assert _most_in(moments, 1.0) <= 60


def test_when_the_vendor_says_the_window_is_used_up_the_next_one_is_waited_for(fathom: Account) -> None:
    fathom.break_("rate_window", limit=100, heavy_limit=2, seconds=1)
    moments = _read(fathom)  # our own pace would allow thousands
    assert len(moments) == 3
    assert moments[2] - moments[0] >= 1.0


def test_an_incremental_read_keeps_to_the_same_limits(fathom: Account) -> None:
    fathom.mutate("create", count=25)
    fathom.break_("rate_window", limit=4, heavy_limit=2, seconds=3)
    pages = fathom.read(since(soon()), really_waits=True, rate_limit=4, heavy_rate_limit=2, rate_seconds=3)
    assert sum(len(page.records) for page in pages) == 25
    assert _most_in([entry["at"] for entry in fathom.requests("/meetings")], 3.0) <= 2


def test_a_closed_session_does_not_wait_on(fathom: Account) -> None:
    session = fathom.session(really_waits=True, heavy_rate_limit=1)
    session.meetings({"include_transcript": "true"})
    session.close()
    with pytest.raises(Exception, match="closed while it waited"):
        session.meetings({"include_transcript": "true"})
