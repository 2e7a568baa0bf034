"""What the scenes of all imitated vendors share: control pages to mutate, break and count, and reads to ask for."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord


class VendorScene:
    """One organization at an imitated vendor: `control` is the vendor's root over http, `name` the organization."""

    control: str
    name: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A control page's answer."""
        request = urllib.request.Request(f"{self.control}/_sandbox/{path}", method=method)
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            text = answer.read().decode()
        return [json.loads(line) for line in text.splitlines()] if "object=" in path else json.loads(text)

    def break_(self, fault: str, **wish: Any) -> None:
        """Switch a fault on for this organization."""
        self.ask("POST", "knobs", {"fault": fault, "org": self.name, **wish})

    def mend(self) -> None:
        """Switch every fault off."""
        self.ask("DELETE", "knobs")

    def change(self, kind: str, action: str, **wish: Any) -> list[str]:
        """Change records of an object; gives their ids."""
        asked = {"org": self.name, "object": kind, "action": action, **wish}
        found: list[str] = self.ask("POST", "mutate", asked)["ids"]
        return found

    def live(self, kind: str) -> list[dict[str, Any]]:
        """Live records of an object, as the vendor words them."""
        found: list[dict[str, Any]] = self.ask("GET", f"truth?org={self.name}&object={kind}")
        return found

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """Vendor requests served, oldest first."""
        query = urllib.parse.urlencode({"limit": 100_000, "path": path})
        found: list[dict[str, Any]] = self.ask("GET", f"journal?{query}")["entries"]
        return found


def soon() -> datetime:
    """An upper bound just ahead of everything that has happened."""
    return datetime.now(UTC) + timedelta(seconds=5)


def full(checkpoint: str | None = None, until: datetime | None = None) -> ReadFrom:
    """A full read."""
    return ReadFrom(SyncMode.FULL, until or soon(), checkpoint=checkpoint)


def since(watermark: datetime, checkpoint: str | None = None, until: datetime | None = None) -> ReadFrom:
    """An incremental read."""
    return ReadFrom(SyncMode.INCREMENTAL, until or soon(), watermark.isoformat(), checkpoint)


def whole(found: Iterable[Page]) -> list[Page]:
    """All pages of a read; the last one is the only one without a checkpoint, and carries the watermark."""
    pages = list(found)
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1].watermark is not None
    return pages


def records_of(pages: Iterable[Page]) -> list[SourceRecord]:
    """Their records in order."""
    return [record for page in pages for record in page.records]


def ids_of(pages: Iterable[Page]) -> list[str]:
    """Their records' ids in order."""
    return [record.external_id for record in records_of(pages)]
