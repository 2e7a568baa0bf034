"""A mailbox's limits: four calls at once, so many in ten minutes, and silence while it asks for it."""

import time

import pytest

from gtmc_pipelines.connectors.o365.lanes import Lane, user_in
from gtmc_pipelines_tests.connectors.o365_scene import Directory, full, pages_of

LIMIT, SECONDS, LATENCY_MS, LEAST_USED = 10, 1, 100, 0.6


@pytest.mark.services
def test_with_latency_the_allowed_rate_of_a_mailbox_is_used_and_never_exceeded(directory: Directory) -> None:
    directory.break_("slow", latency_ms=LATENCY_MS)
    with directory.session(
        sleep=time.sleep, mail_page_size=1, mailbox_requests=LIMIT, mailbox_seconds=SECONDS
    ) as session:
        pages_of(session, full(directory.mailbox()))
    times = [entry["at"] for entry in directory.requests("/messages")]
    assert len(times) > 3 * LIMIT
    used = (len(times) - 1) / (times[-1] - times[0]) / LIMIT
    print(f"{used:.0%} of the allowed rate")  # noqa: T201
    assert used >= LEAST_USED, f"only {used:.0%} of the allowed rate was used"
    assert all(later - first > SECONDS for first, later in zip(times, times[LIMIT:], strict=False))


@pytest.mark.services
def test_a_wish_to_wait_is_kept_by_all_calls_of_that_mailbox(directory: Directory) -> None:
    directory.break_("rate_limit", path="inbox", count=1, retry_after=1)
    with directory.session(sleep=time.sleep, mail_page_size=5) as session:
        pages_of(session, full(directory.mailbox()))
    entries = directory.requests("/messages")
    throttled = next(entry for entry in entries if entry["status"] == 429)
    following = [entry["at"] for entry in entries if entry["at"] > throttled["at"] + 0.2]
    assert following
    assert following[0] - throttled["at"] >= 0.95
    assert [entry["status"] for entry in entries].count(429) == 1


@pytest.mark.services
def test_many_folders_are_read_four_at_a_time_at_most(directory: Directory) -> None:
    directory.break_("slow", latency_ms=30)
    folders = "inbox,sentitems,archive,deleteditems,drafts,junkemail"
    with directory.session(folders=folders, mail_page_size=5) as session:
        pages_of(session, full(directory.mailbox()))
    entries = directory.requests("/messages")
    assert {entry["status"] for entry in entries} == {200}
    assert 2 <= max(entry["in_flight"] for entry in entries) <= 4
    assert not directory.waits


def test_a_lane_holds_what_comes_after_a_wish() -> None:
    waited: list[float] = []
    lane = Lane(100, 60.0, waited.append, waited.append)
    with lane:
        lane.hold(30.0)
    with lane:
        pass
    assert 29.0 < waited[0] <= 30.0


@pytest.mark.parametrize(
    ("url", "user"),
    [
        ("https://graph.microsoft.com/v1.0/users/AB-1/messages?$x=/users/no", "ab-1"),
        ("https://graph.microsoft.com/v1.0/users('ab-1')/mailFolders('inbox')/messages", "ab-1"),
        ("https://graph.microsoft.com/v1.0/users%28%27ab-1%27%29/messages", "ab-1"),
        ("https://graph.microsoft.com/v1.0/users?$top=9", ""),
    ],
)
def test_a_url_tells_its_mailbox_in_either_spelling(url: str, user: str) -> None:
    assert user_in(url) == user
