"""Fetching ahead: pages of one list in order, the next one asked for while the last is still used."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from gtmc_pipelines.connectors.customerio.errors import VENDOR
from gtmc_pipelines.connectors.error_rules import outside_contract
from gtmc_pipelines.model.errors import Broken

T = TypeVar("T")
R = TypeVar("R")

THREADS = 8
"""Requests under way at once: enough for the allowed rate at 800 ms a request."""

_PATIENCE_SECONDS = 5.0
_CURSOR = re.compile(r"[\x21-\x7e]{1,2000}")


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A page of a list: what it holds, and where the next one starts ("": there is none)."""

    content: T
    next: str


class Threads:
    """Threads for one read."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "customerio")
        self._given: WeakSet[Future[Any]] = WeakSet()

    def submit(self, work: Callable[..., R], *arguments: Any) -> Future[R]:
        """Have something done; the result, or what it raises, is in the future."""
        future = self._pool.submit(work, *arguments)
        self._given.add(future)
        return future

    def close(self) -> None:
        """What hasn't begun is not begun; what is under way is waited for, within reason."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait(list(self._given), timeout=_PATIENCE_SECONDS)


@contextmanager
def pool() -> Iterator[Threads]:
    """Threads while the block runs."""
    threads = Threads()
    try:
        yield threads
    finally:
        threads.close()


def walk(threads: Threads, fetch: Callable[[str], Listed[T]], start: str) -> Iterator[Listed[T]]:
    """Pages from `start` on. Raises Broken for a page whose next one was read already or lies elsewhere.

    A `start` kept from an earlier read may have expired: then the list is walked from its beginning.
    """
    seen, stalled, at = {start}, set[str](), start
    upcoming: Future[Listed[T]] | None = threads.submit(fetch, start)
    while upcoming is not None:
        try:
            listed = upcoming.result()
        except Broken as fault:
            if fault.code != "bad_request" or not start or seen != {start}:
                raise
            seen, at = {""}, ""
            listed = fetch("")
        upcoming = None
        if listed.next:
            is_stalled = not listed.content and listed.next not in stalled  # nothing yet: asking again is fine, once
            stalled |= {listed.next} if is_stalled else set()
            checked(listed.next, seen - {at} if is_stalled else seen)
            at = listed.next
            seen.add(at)
            upcoming = threads.submit(fetch, at)
        yield listed


def checked(cursor: str, seen: Container[str] = ()) -> str:
    """`cursor` when it can be followed. Raises Broken: `foreign_next_link`, `cursor_loop`, `unexpected_answer`."""
    if "//" in cursor:
        raise Broken(
            "foreign_next_link",
            "Customer.io's next-page cursor is an address, and is not followed.",
            next_step="Report this; nothing of that page was read.",
        )
    if not _CURSOR.fullmatch(cursor):
        raise outside_contract(VENDOR, "next-page cursor")
    if cursor in seen:
        raise Broken(
            "cursor_loop",
            "Customer.io's pages lead back to one already read, so the read was stopped.",
            next_step="Sync again; if it stays, report the time of the sync.",
        )
    return cursor
