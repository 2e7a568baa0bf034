"""The allowed rate is used although every request takes its time, and it is never exceeded: the journal tells both."""

import time
from itertools import pairwise

import pytest

from gtmc_pipelines.connectors.customerio.streams import read_stream
from gtmc_pipelines_tests.connectors.customerio_scene import Workspace
from gtmc_pipelines_tests.connectors.vendor_scene import full

pytestmark = pytest.mark.services

LIMIT, LATENCY_MS, LEAST_USED = 10, 100, 0.6


@pytest.mark.parametrize("stream", ["people", "behavioral_events"])
def test_the_allowed_rate_is_used_and_never_exceeded(workspace: Workspace, stream: str) -> None:
    workspace.break_("slow", latency_ms=LATENCY_MS)
    session = workspace.session(page_records=10, requests_per_second=LIMIT)
    assert list(read_stream(session, stream, full()))
    times = [entry["at"] for entry in workspace.requests()]
    assert len(times) > 2 * LIMIT
    used = (len(times) - 1) / (times[-1] - times[0]) / LIMIT
    assert used >= LEAST_USED, f"only {used:.0%} of the allowed rate was used"
    assert all(later - first > 1.0 for first, later in zip(times, times[LIMIT:], strict=False))
    assert not workspace.waits


def test_after_a_wish_to_wait_no_thread_asks_before_the_time(workspace: Workspace) -> None:
    workspace.break_("rate_limit", path="/attributes", count=1, retry_after=1)
    session = workspace.session(page_records=10)
    session.http._sleep = time.sleep
    assert list(read_stream(session, "people", full()))
    entries = workspace.requests()
    throttled = next(entry for entry in entries if entry["status"] == 429)
    following = [entry["at"] for entry in entries if entry["at"] > throttled["at"] + 0.2]
    assert following
    assert following[0] - throttled["at"] >= 0.95
    assert all(one <= other for one, other in pairwise(following))
