"""The imitated vendor of one subject: where it is, who may come in, and what its control pages do."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


@dataclass(frozen=True)
class Change:
    """A wish for `POST /_sandbox/mutate`: what the vendor's own users do to `count` records of an object."""

    object: str
    action: str
    count: int = 3
    fields: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Site:
    """One vendor of a running sandbox, seen as one of its orgs."""

    vendor: str
    announcement: Mapping[str, Any]
    org: str = "acme"

    @property
    def base(self) -> str:
        """Where the connector finds the vendor: https, by the sandbox's own CA."""
        return str(self.announcement["vendors"][self.vendor]["https"])

    @property
    def plain(self) -> str:
        """The same over http, where the control pages are asked."""
        return str(self.announcement["vendors"][self.vendor]["http"])

    @property
    def hosts(self) -> tuple[str, ...]:
        """`host:port` of both."""
        return tuple(urllib.parse.urlsplit(url).netloc for url in (self.base, self.plain))

    @property
    def ca_file(self) -> Path:
        """The CA to trust."""
        return Path(self.announcement["ca_file"])

    @property
    def credentials(self) -> Mapping[str, Any]:
        """What the vendor announced: its `credentials()`."""
        found: Mapping[str, Any] = self.announcement["vendors"][self.vendor]["credentials"]
        return found

    def reset(self) -> None:
        """Back to the seeded beginning: data, grants, knobs, journal."""
        self.ask("POST", "reset")

    def mutate(self, change: Change, stamp: datetime | None = None) -> list[str]:
        """Make a change, as of `stamp` when given; gives the ids changed."""
        wish: dict[str, Any] = {"org": self.org, "object": change.object, "action": change.action}
        wish |= {"count": change.count, "fields": dict(change.fields or {})}
        if stamp is not None:
            wish["stamp"] = stamp.isoformat()
        ids: list[str] = self.ask("POST", "mutate", wish)["ids"]
        assert ids, f"{change} changed nothing"
        return ids

    def break_(self, path: str, **wish: Any) -> None:
        """Switch a fault on for requests whose path matches `path`."""
        self.ask("POST", "knobs", {"org": self.org, "path": path or None, **wish})

    def mend(self) -> None:
        """Switch every fault off."""
        self.ask("DELETE", "knobs")

    def strikes(self) -> int:
        """How often the faults that are on have happened."""
        return sum(int(knob["fired"]) for knob in self.ask("GET", "knobs")["knobs"])

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        """Requests served after number `since`, oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"journal?limit=100000&since={since}")["entries"]
        return found

    @property
    def last_seq(self) -> int:
        """Number of the newest request."""
        return int(self.ask("GET", "journal?limit=0")["last_seq"])

    def records(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Live records of an object as the vendor words them, numbers as Decimal (`cli.truth.compare.Records`)."""
        for line in self._truth(kind).splitlines():
            yield json.loads(line, parse_float=Decimal)

    def emails(self) -> frozenset[str]:
        """Every e-mail address in the org's records."""
        kinds = self.ask("GET", f"truth?org={self.org}&digest=false")["objects"]
        return frozenset(found.lower() for kind in kinds for found in _EMAIL.findall(self._truth(kind)))

    def _truth(self, kind: str) -> str:
        query = urllib.parse.urlencode({"org": self.org, "object": kind, "format": "ndjson"})
        return self._read("GET", f"truth?{query}").decode()

    def ask(self, method: str, page: str, body: Any = None) -> Any:
        """A control page's answer."""
        return json.loads(self._read(method, page, body))

    def _read(self, method: str, page: str, body: Any = None) -> bytes:
        request = urllib.request.Request(f"{self.plain}/_sandbox/{page}", method=method)
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                found: bytes = answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise AssertionError(f"/_sandbox/{page} with {body}: {refusal.read().decode()}") from None
        return found
