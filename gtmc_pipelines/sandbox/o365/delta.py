"""Delta queries of a mail folder: a first round over what is there, later rounds over the log of changes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

from gtmc_pipelines.sandbox.o365.errors import GraphError
from gtmc_pipelines.sandbox.o365.mail import FIRST_CREATED
from gtmc_pipelines.sandbox.o365.odata import Window, opened, sealed
from gtmc_pipelines.sandbox.o365.store import READ_FLAG, Change, Copy, Store

PARTIAL = ("id", "isRead", "parentFolderId")
FILTERED_CAP = 5_000
"""With a filter, a round delivers at most so many messages in all."""


@dataclass(slots=True)
class Round:
    """Where a round stands. `upto` is the log's end when it began, `since` where a later round starts.

    `after` is the (time of receipt, number) of the last message of a first round; `cursor` the last change
    of a later one; `delivered` counts both, against `cap`.
    """

    mailbox: int
    folder: str
    names: tuple[str, ...]
    low: int | None
    upto: int
    since: int | None = None
    after: tuple[int, int] | None = None
    cursor: int = 0
    delivered: int = 0
    cap: int | None = None

    def token(self) -> str:
        """As an opaque token."""
        return sealed({name: getattr(self, name) for name in _NAMES})

    def closing(self, seq: int) -> Round:
        """The next round: what changed after `seq`."""
        return Round(self.mailbox, self.folder, self.names, self.low, seq, since=seq, cap=self.cap)


_NAMES = tuple(Round.__slots__)


def round_of(token: str, mailbox: int, folder: str, store: Store, *, is_delta: bool) -> Round:
    """The round a token stands for. Raises GraphError for another folder's token and for one from the future."""
    state = opened(token)
    try:
        after = state["after"]
        found = Round(**{**state, "names": tuple(state["names"]), "after": tuple(after) if after else None})
    except (KeyError, TypeError):
        raise _lost() from None
    if (found.mailbox, found.folder) != (mailbox, folder) or found.upto > store.seq:
        raise _lost()
    if is_delta:
        found.upto, found.cursor = store.seq, found.since or 0
    return found


def deliver(store: Store, now: Round, size: int) -> tuple[list[Change | Copy], Round | None]:
    """The next items (changes, or copies in a first round) and the round after them; None when it has ended."""
    left = size if now.cap is None else min(size, max(0, now.cap - now.delivered))
    items: list[Change | Copy]
    if now.since is None:
        items, has_more = _first(store, now, left)
    else:
        items, has_more = _changed(store, now, left)
    now.delivered += len(items)
    if not has_more or (now.cap is not None and now.delivered >= now.cap):
        return items, None
    return items, now


def _first(store: Store, now: Round, size: int) -> tuple[list[Change | Copy], bool]:
    listing = store.listing(now.mailbox, now.folder)
    start = bisect_right(listing, (-now.after[0], now.after[1])) if now.after else 0
    stop = len(listing) if now.low is None else bisect_right(listing, (-now.low, FIRST_CREATED << 1))
    part = listing[start : min(stop, start + size)]
    if part:
        now.after = -part[-1][0], part[-1][1]
    return [(now.mailbox, number) for _, number in part], start + len(part) < stop


def _changed(store: Store, now: Round, size: int) -> tuple[list[Change | Copy], bool]:
    """Changes of this folder, only the last of each message."""
    newest: dict[int, Change] = {}
    for change in store.log:
        if now.cursor < change.seq <= now.upto and (change.mailbox, change.folder) == (now.mailbox, now.folder):
            before = newest.pop(change.number, None)
            is_more = before is not None and change.kind == READ_FLAG and not before.is_removal
            newest[change.number] = replace(change, kind=before.kind) if before and is_more else change
    window = Window(now.low)
    found = [one for one in newest.values() if window.holds(store.received_ms((one.mailbox, one.number)))]
    items: list[Change | Copy] = list(found[:size])
    if items:
        now.cursor = found[len(items) - 1].seq
    return items, len(found) > size


def _lost() -> GraphError:
    return GraphError(410, "SyncStateNotFound", "The sync state generation is not found; generation=7;")


def item_json(store: Store, item: Change | Copy, names: tuple[str, ...], words: Any) -> dict[str, Any]:
    """An item as a delta answer words it; `words` gives a message's selected members.

    Of a message that was only marked as read there may be no more than three members, whatever was selected
    (microsoftgraph/microsoft-graph-docs-contrib issue 5544): here every other time.
    """
    head: dict[str, Any] = {"@odata.type": "#microsoft.graph.message"}
    if isinstance(item, Change) and item.is_removal:
        copy = item.mailbox, item.number
        return {**head, "id": store.message_id(copy, immutable=True), "@removed": {"reason": item.kind}}
    copy = (item.mailbox, item.number) if isinstance(item, Change) else item
    is_partial = isinstance(item, Change) and item.kind == READ_FLAG and item.seq % 2
    return {**head, **words(copy, PARTIAL if is_partial else names)}
