"""Reading people: everybody's identifiers by search, then their attributes, a hundred at a time and concurrently."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from gtmc_pipelines.connectors.customerio import checkpoint as checkpoints
from gtmc_pipelines.connectors.customerio.ahead import Listed, Threads, pool, walk
from gtmc_pipelines.connectors.customerio.api import MOST_ATTRIBUTES, MOST_PEOPLE, CustomerioSession
from gtmc_pipelines.connectors.customerio.payloads import (
    Members,
    Recent,
    member,
    members_of,
    missing_id,
    payload_of,
)
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.positions import encode
from gtmc_pipelines.model.errors import SyncFault
from gtmc_pipelines.model.records import Census, Found, Page, ReadFrom, RejectedRecord, SourceRecord, Unseen

_PAGES_AHEAD = 2


class _Search(msgspec.Struct):
    identifiers: list[msgspec.Raw] | None = None
    next: str | None = None


class _Attributes(msgspec.Struct):
    customers: list[msgspec.Raw] | None


class _Ids(msgspec.Struct):
    cio_id: str | None = None


_SEARCH = msgspec.json.Decoder(_Search)
_ATTRIBUTES = msgspec.json.Decoder(_Attributes)


@dataclass(slots=True)
class _Pending:
    """A page whose people are being fetched."""

    next: str
    rejects: list[RejectedRecord]
    batches: list[Future[list[SourceRecord | RejectedRecord]]]


def read_people(session: CustomerioSession, start: ReadFrom) -> Iterator[Page]:
    """All people, whatever the mode: nothing tells which have changed. One page for each page of the search."""
    checkpoint = checkpoints.decode(start.checkpoint)
    watermark = checkpoints.watermark_of(start)
    with pool() as threads:
        reader = _Reader(session, threads)
        for pending in reader.ahead(checkpoint.start if checkpoint else ""):
            yield reader.page(pending, watermark)


def still_there(session: CustomerioSession, unseen: Sequence[Unseen]) -> Iterator[Found]:
    """People asked for by cio_id, a hundred a request: those Customer.io has come as they are now."""
    ids = [one.external_id for one in unseen]
    for start in range(0, len(ids), MOST_ATTRIBUTES):
        found = decode_page(session.attributes(ids[start : start + MOST_ATTRIBUTES]), _ATTRIBUTES, "Customer.io")
        people = [person_of(raw) for raw in found.customers or []]
        yield Found([person for person in people if isinstance(person, SourceRecord)])


def census(session: CustomerioSession, until: datetime) -> Iterator[Census]:
    """Everybody's ids by search, a thousand a page: no attributes are asked for."""
    start, seen = "", set[str]()
    while True:
        found = decode_page(session.search_people(start, MOST_PEOPLE), _SEARCH, "Customer.io")
        members = [members_of(raw) for raw in found.identifiers or []]
        ids = [member(each, "cio_id", str) for each in members if not isinstance(each, RejectedRecord)]
        yield Census("ids of all people", ids=[each for each in ids if each])
        if not found.next or found.next in seen:
            return
        start = found.next
        seen.add(start)


@dataclass(slots=True)
class _Reader:
    """One read: the search walks on while the attributes of the page before are fetched."""

    session: CustomerioSession
    threads: Threads
    recent: Recent = field(default_factory=Recent)

    def ahead(self, start: str) -> Iterator[_Pending]:
        """Pages in order, two under way. A fault of the search comes after the good pages before it."""
        held: deque[_Pending] = deque()
        fault: SyncFault | None = None
        walker = walk(self.threads, self._search, start)
        try:
            for listed in walker:
                held.append(self._pending(listed))
                if len(held) >= _PAGES_AHEAD:
                    yield held.popleft()
        except SyncFault as error:
            fault = error
        yield from held
        if fault is not None:
            raise fault

    def page(self, pending: _Pending, watermark: str) -> Page:
        """The page, once its people are there."""
        records: list[SourceRecord] = []
        rejects = list(pending.rejects)
        for batch in pending.batches:
            for one in batch.result():
                if isinstance(one, RejectedRecord):
                    rejects.append(one)
                else:
                    records.append(one)
        if not pending.next:
            return Page(records, None, watermark, rejects)
        return Page(records, encode(checkpoints.Checkpoint(pending.next)), rejects=rejects)

    def _search(self, start: str) -> Listed[list[msgspec.Raw]]:
        limit = min(MOST_PEOPLE, self.session.option("page_records", MOST_PEOPLE))
        found = decode_page(self.session.search_people(start, limit), _SEARCH, "Customer.io")
        return Listed(found.identifiers or [], found.next or "")

    def _pending(self, listed: Listed[list[msgspec.Raw]]) -> _Pending:
        ids: list[str] = []
        rejects: list[RejectedRecord] = []
        for raw in listed.content:
            members = members_of(raw)
            if isinstance(members, RejectedRecord):
                rejects.append(members)
                continue
            cio_id = member(members, "cio_id", str)
            if not cio_id:
                rejects.append(missing_id())
            elif self.recent.is_new(cio_id):
                ids.append(cio_id)
        parts = [ids[at : at + MOST_ATTRIBUTES] for at in range(0, len(ids), MOST_ATTRIBUTES)]
        return _Pending(listed.next, rejects, [self.threads.submit(self._attributes, part) for part in parts])

    def _attributes(self, cio_ids: list[str]) -> list[SourceRecord | RejectedRecord]:
        found = decode_page(self.session.attributes(cio_ids), _ATTRIBUTES, "Customer.io")
        return [person_of(raw) for raw in found.customers or []]


def person_of(raw: msgspec.Raw) -> SourceRecord | RejectedRecord:
    """A person, from either shape: bare as live answers have it, or inside `customer` as the specification does.

    Devices are left out: they hold push tokens, and change with every use of an app. There is no change
    time of the whole person: an attribute's time goes when the attribute does, so none is claimed.
    """
    members = members_of(raw)
    if not isinstance(members, RejectedRecord) and set(members) == {"customer"}:
        members = members_of(members["customer"])
    if isinstance(members, RejectedRecord):
        return members
    cio_id = _cio_id(members)
    if not cio_id:
        return missing_id()
    members.pop("devices", None)
    return SourceRecord(cio_id, payload_of(members), None)


def _cio_id(members: Members) -> str | None:
    for place in ("identifiers", "attributes"):
        found = member(members, place, _Ids)
        if found is not None and found.cio_id:
            return found.cio_id
    return None
