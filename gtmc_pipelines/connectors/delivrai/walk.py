"""Walking along Delivr.ai's pages: chains of pages, several at once where the vendor allows it, yielded in order.

A chain is one window of time (or the whole stream): page after page by cursor or offset. Chains are
fetched side by side by threads and a little ahead, within the session's pace; pages come out chain
after chain, each with a checkpoint from which the same walk goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import msgspec

from gtmc_pipelines.connectors.delivrai.records import Shaped, Sorted
from gtmc_pipelines.model.errors import Broken, Retry

AHEAD = 4
"""Pages kept of a chain before the reader has asked for them."""
_MOST_RESTARTS = 2
_MOST_BARREN = 200
_REMEMBERED = 20_000
_PATIENCE_SECONDS = 5.0


class Place(msgspec.Struct, frozen=True):
    """Where a walk goes on: the chain by its number, and the cursor or offset within it ("": its beginning)."""

    chain: int = 0
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page of a chain: what is in it, and the cursor of the next ("": the chain ends)."""

    sorted: Sorted
    cursor: str


Fetch = Callable[[int, str], Fetched]
"""Gets the page of a chain at a cursor; called from several threads."""


@dataclass(frozen=True, slots=True)
class Step:
    """A page in order; `next` is None after the last one of all."""

    page: Sorted
    repeated: int
    next: Place | None


@dataclass
class _Chain:
    """One chain while it is being fetched."""

    number: int
    cursor: str = ""
    pages: deque[Fetched] = field(default_factory=deque)
    call: Future[Fetched] | None = None
    is_done: bool = False
    restarts: int = 0
    used: set[str] = field(default_factory=set)
    barren: int = 0

    def wants_more(self) -> bool:
        """Whether its next page may be asked for now."""
        return self.call is None and not self.is_done and len(self.pages) < AHEAD

    def take(self) -> None:
        """Take the answered call's page in. Raises its fault, or Broken (`cursor_loop`)."""
        assert self.call is not None
        call, self.call = self.call, None
        try:
            fetched = call.result()
        except Retry as fault:
            if fault.code != "cursor_stale" or self.restarts >= _MOST_RESTARTS:
                raise
            self.restarts += 1  # the data was rebuilt: read this chain again from its beginning
            self.cursor, self.barren = "", 0
            self.used.clear()
            return
        self._check(fetched)
        self.cursor = fetched.cursor
        self.is_done = not fetched.cursor
        self.pages.append(fetched)

    def _check(self, fetched: Fetched) -> None:
        is_empty = not (fetched.sorted.records or fetched.sorted.rejects)
        self.barren = self.barren + 1 if is_empty else 0
        if fetched.cursor and (
            fetched.cursor == self.cursor or fetched.cursor in self.used or self.barren > _MOST_BARREN
        ):
            raise loop()
        self.used.add(fetched.cursor)


class Recent:
    """Ids of the last records yielded: while pages shift, a record may come twice."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def new_of(self, records: Sequence[Shaped]) -> list[Shaped]:
        """Those not seen lately."""
        fresh: list[Shaped] = []
        for shaped in records:
            key = shaped[0].external_id
            if key not in self._ids:
                self._ids[key] = None
                fresh.append(shaped)
        while len(self._ids) > _REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return fresh


def walk(fetch: Fetch, chains: int, parallel: int, start: Place) -> Iterator[Step]:
    """All pages from `start` to the end of the last chain, in order."""
    pool = ThreadPoolExecutor(max_workers=max(1, min(parallel, chains)), thread_name_prefix="delivrai")
    recent, replayed, restarts = Recent(), 0, 0
    calls: set[Future[Fetched]] = set()

    def submit(chain: _Chain) -> Future[Fetched]:
        call = pool.submit(fetch, chain.number, chain.cursor)
        calls.add(call)
        call.add_done_callback(calls.discard)
        return call

    try:
        for chain, fetched in _in_order(submit, chains, parallel, start):
            if chain.restarts > restarts:
                recent = Recent()
            restarts = chain.restarts
            fresh = recent.new_of(fetched.sorted.records)
            repeated = len(fetched.sorted.records) - len(fresh)
            replayed = replayed + 1 if repeated and not fresh else 0
            if replayed > 1 and fetched.cursor:
                raise loop()  # ever new cursors, ever the same records
            following = _after(chain, fetched, chains)
            yield Step(Sorted(fresh, fetched.sorted.rejects), repeated, following)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        wait(
            tuple(calls), timeout=_PATIENCE_SECONDS
        )  # no call outlives its session, unless the vendor makes it wait long


def _after(chain: _Chain, fetched: Fetched, chains: int) -> Place | None:
    if fetched.cursor:
        return Place(chain.number, fetched.cursor)
    return Place(chain.number + 1) if chain.number + 1 < chains else None


def _in_order(
    submit: Callable[[_Chain], Future[Fetched]], chains: int, parallel: int, start: Place
) -> Iterator[tuple[_Chain, Fetched]]:
    open_chains: deque[_Chain] = deque([_Chain(start.chain, start.cursor)])
    while open_chains:
        while len(open_chains) < parallel and open_chains[-1].number + 1 < chains:
            open_chains.append(_Chain(open_chains[-1].number + 1))
        for chain in open_chains:
            if chain.wants_more():
                chain.call = submit(chain)
        head = open_chains[0]
        if head.pages:
            yield head, head.pages.popleft()
        elif head.is_done:
            open_chains.popleft()
            if not open_chains and head.number + 1 < chains:
                open_chains.append(_Chain(head.number + 1))
        else:
            _take_answers(open_chains)


def _take_answers(open_chains: deque[_Chain]) -> None:
    """Wait until some call is answered and take it in; a later chain's fault waits for its turn."""
    head = open_chains[0]
    assert head.call is not None
    if not head.call.done():
        wait([one.call for one in open_chains if one.call and not one.call.done()], return_when=FIRST_COMPLETED)
    for chain in open_chains:
        if chain.call is not None and chain.call.done() and (chain is head or chain.call.exception() is None):
            chain.take()


def loop() -> Broken:
    """The fault of pages that lead back."""
    return Broken(
        "cursor_loop",
        "Delivr.ai's pages lead back to one already read, so the read was stopped.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )
