"""Pacing keeps to the vendor's limit in every window and wastes none of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.pacing import Pace


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(limit=st.integers(1, 20), work=st.lists(st.floats(0, 0.5), min_size=1, max_size=80))
def test_no_window_ever_holds_more_than_the_limit(limit: int, work: list[float]) -> None:
    clock, sent = _Clock(), []
    pace = Pace(limit, 1.0, clock=clock, sleep=clock.sleep)
    for seconds in work:
        pace.take()
        sent.append(clock.now)
        clock.now += seconds
    assert all(later - earlier >= 1.0 for earlier, later in zip(sent, sent[limit:], strict=False))


def test_the_first_requests_up_to_the_limit_go_at_once() -> None:
    clock = _Clock()
    pace = Pace(10, 1.0, clock=clock, sleep=clock.sleep)
    assert [pace.take() for _ in range(10)] == [0.0] * 10
    assert pace.take() > 1.0


def test_a_long_run_uses_at_least_nine_tenths_of_the_limit() -> None:
    clock = _Clock()
    pace = Pace(10, 1.0, clock=clock, sleep=clock.sleep)
    moments = []
    for _ in range(1000):
        pace.take()
        moments.append(clock.now)
    assert 1000 / moments[-1] > 0.9 * 10
    assert all(later >= earlier for earlier, later in pairwise(moments))


def test_a_pace_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one request"):
        Pace(0, 1.0)
