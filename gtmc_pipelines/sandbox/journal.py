"""The journal: what every request asked and got, in a ring buffer, so that tests can count instead of believe."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

RING_SIZE = 100_000


@dataclass(slots=True)
class Entry:
    """One request. `status` None: not answered yet; `complete` False with a status: the answer was cut off.

    `at` is unix seconds of arrival, `ms` the time to the last byte, `records` the vendor records in the
    answer, `bytes` the size of its body, `faults` the knobs that spoilt it, `in_flight` how many requests
    of the same vendor (this one included) were being served at arrival.
    """

    seq: int
    at: float
    vendor: str
    method: str
    path: str
    query: str = ""
    org: str | None = None
    status: int | None = None
    records: int = 0
    bytes: int = 0
    ms: float | None = None
    complete: bool = False
    in_flight: int = 1
    faults: list[str] = field(default_factory=list)


class Journal:
    """All requests of all vendors, oldest dropped first. Requests under /_sandbox are not entered."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self._ring: deque[Entry] = deque(maxlen=size)
        self._seq = 0
        self._serving: Counter[str] = Counter()

    def begin(self, vendor: str, method: str, path: str, query: str) -> Entry:
        """Enter an arriving request."""
        self._seq += 1
        self._serving[vendor] += 1
        entry = Entry(self._seq, time.time(), vendor, method, path, query, in_flight=self._serving[vendor])
        self._ring.append(entry)
        return entry

    def end(self, entry: Entry, *, complete: bool) -> None:
        """Note that the answer is out, or that the connection was cut before its end."""
        self._serving[entry.vendor] -= 1
        entry.ms = round((time.time() - entry.at) * 1000, 3)
        entry.complete = complete

    def since(
        self, seq: int = 0, *, vendor: str | None = None, org: str | None = None, path: str | None = None
    ) -> Iterator[Entry]:
        """Entries after `seq`, oldest first, of this vendor, org and with this text in the path."""
        for entry in self._ring:
            if (
                entry.seq > seq
                and (vendor is None or entry.vendor == vendor)
                and (org is None or entry.org == org)
                and (path is None or path in entry.path)
            ):
                yield entry

    @property
    def last_seq(self) -> int:
        """Number of the newest entry: pass it as `since` to see only what comes after."""
        return self._seq

    def clear(self) -> None:
        """Forget all entries; numbering goes on."""
        self._ring.clear()


def as_json(entries: Iterator[Entry], limit: int) -> dict[str, Any]:
    """Entries with their counts: `{requests, records, bytes, by_status, by_vendor, entries}`; counts cover all."""
    listed: list[dict[str, Any]] = []
    by_status: Counter[str] = Counter()
    by_vendor: Counter[str] = Counter()
    requests = records = size = 0
    for entry in entries:
        requests, records, size = requests + 1, records + entry.records, size + entry.bytes
        by_status[str(entry.status)] += 1
        by_vendor[entry.vendor] += 1
        if len(listed) < limit:
            listed.append(asdict(entry))
    return {
        "requests": requests,
        "records": records,
        "bytes": size,
        "by_status": dict(by_status),
        "by_vendor": dict(by_vendor),
        "entries": listed,
    }
