"""A directory of the imitated Microsoft 365, as tests drive it: read, mutate, break, count."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.cli.truth import o365 as truth
from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.connectors.o365.api import O365Session
from gtmc_pipelines.connectors.o365.connector import O365Connector
from gtmc_pipelines.connectors.o365.streams import read_mailbox
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.vault.secret import Secret

STREAM = STREAMS[ConnectorType.O365][0]


@dataclass
class Directory:
    """One directory; every wait of its sessions is noted in `waits` and not waited."""

    vendor: dict[str, Any]
    ca_file: str
    name: str = "acme"
    waits: list[float] = field(default_factory=list)

    @property
    def org(self) -> dict[str, Any]:
        found: dict[str, Any] = self.vendor["credentials"]["orgs"][self.name]
        return found

    @property
    def allowed(self) -> list[str]:
        return list(self.org["allowed_domains"])

    def settings(self, **options: Any) -> ConnectorSettings:
        """Settings as composition and consent give them."""
        given = self.vendor["credentials"]
        limits = HttpLimits(max_attempts=options.pop("max_attempts", 6))
        hosts = [urllib.parse.urlsplit(self.vendor[scheme]).netloc for scheme in ("http", "https")]
        return ConnectorSettings(
            tenant_id=self.name,
            connector_id="c-1",
            options={
                "login_url": self.vendor["https"],
                "graph_url": f"{self.vendor['http']}/v1.0",
                "mail_page_size": 10,
                "allowed_domains": self.allowed,
                "own_domains": [self.org["domain"]],
                **options,
            },
            app={name: Secret(given[name]) for name in ("client_id", "client_secret")},
            sandbox_hosts=frozenset(hosts),
            ca_file=self.ca_file,
            http=limits,
        )

    @contextmanager
    def session(self, sleep: Callable[[float], Any] | None = None, **options: Any) -> Iterator[O365Session]:
        held = HeldCredentials({"directory_id": Secret(self.org["directory_id"])})
        opened = O365Session(held, self.settings(**options), sleep=sleep or self.waits.append)
        try:
            yield opened
        finally:
            opened.close()

    def read(self, session: O365Session, start: Callable[[str], ReadFrom]) -> dict[str, list[Page]]:
        """All mailboxes, by slice."""
        connector = O365Connector()
        slices = connector.slices(session, STREAM)
        return {part.key: pages_of(session, start(part.key)) for part in slices}

    def mailbox(self, number: int = 0) -> str:
        """Id of a user with a mailbox."""
        users = self.records("User")
        return str(users[number]["id"])

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A control page's answer."""
        request = urllib.request.Request(f"{self.vendor['http']}/_sandbox/{path}", method=method)
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            text = answer.read().decode()
        return [json.loads(line) for line in text.splitlines()] if "object=" in path else json.loads(text)

    def break_(self, fault: str, **wish: Any) -> None:
        self.ask("POST", "knobs", {"fault": fault, "org": self.name, **wish})

    def mutate(self, action: str, kind: str = "Message", **wish: Any) -> list[str]:
        found: list[str] = self.ask("POST", "mutate", {"org": self.name, "object": kind, "action": action, **wish})[
            "ids"
        ]
        return found

    def records(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"truth?org={self.name}&object={kind}&format=ndjson")
        return found

    def expected(self) -> dict[str, dict[str, Any]]:
        """What the activities must be, by external id."""
        return truth.expected(self.records)["activities"]

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"journal?limit=100000&path={urllib.parse.quote(path)}")[
            "entries"
        ]
        return found


def full(slice_key: str, checkpoint: str | None = None, until: datetime | None = None) -> ReadFrom:
    """A full read."""
    return ReadFrom(SyncMode.FULL, until or soon(), checkpoint=checkpoint, slice=slice_key)


def since(slice_key: str, watermark: str | None, checkpoint: str | None = None) -> ReadFrom:
    """An incremental read."""
    return ReadFrom(SyncMode.INCREMENTAL, soon(), watermark, checkpoint, slice_key)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=2)


def pages_of(session: O365Session, start: ReadFrom) -> list[Page]:
    """All pages; the last one is the only one without a checkpoint."""
    pages = list(read_mailbox(session, start))
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1].watermark is not None
    return pages


def records_of(pages: Iterable[Page]) -> list[SourceRecord]:
    return [record for page in pages for record in page.records]


def all_records(read: dict[str, list[Page]]) -> list[SourceRecord]:
    return [record for pages in read.values() for record in records_of(pages)]
