"""An organization of the imitated Delivr.ai, as tests drive it: connect, read, mutate, break."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.delivrai.api import DelivraiSession
from gtmc_pipelines.connectors.delivrai.connector import DelivraiConnector
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Health, Page, ReadFrom, SourceRecord
from gtmc_pipelines.vault.secret import Secret

CONNECTOR = DelivraiConnector()
SIGNALS, COMPANIES = "intent_signals", "company_enrichment"
PUBLIC: dict[str, Any] = {"profile": "public", "topic_id": "4eyes_112"}
FAST = 1_000


@dataclass
class Organization:
    """One organization; waits after bad answers are noted in `waits` and not waited."""

    base: str
    control: str
    ca_file: str
    keys: dict[str, str]
    name: str = "acme"
    waits: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, sandbox: dict[str, Any], scheme: str = "https", name: str = "acme") -> Organization:
        vendor = sandbox["vendors"]["delivrai"]
        given = vendor["credentials"]["orgs"][name]
        return cls(vendor[scheme], vendor["http"], sandbox["ca_file"], given, name)

    def settings(self, **options: Any) -> ConnectorSettings:
        limits = HttpLimits(max_attempts=options.pop("max_attempts", 6))
        return ConnectorSettings(
            self.name,
            "c-1",
            options={"base_url": self.base, "requests_per_second": FAST, **options},
            sandbox_hosts=frozenset({urllib.parse.urlsplit(self.base).netloc}),
            ca_file=self.ca_file,
            http=limits,
        )

    def session(self, *, keys: dict[str, str] | None = None, **options: Any) -> DelivraiSession:
        held = HeldCredentials({name: Secret(value) for name, value in (keys or self.keys).items()})
        return DelivraiSession(held, self.settings(**options), sleep=self.waits.append)

    def read(self, stream: str = SIGNALS, start: ReadFrom | None = None, **options: Any) -> list[Page]:
        """All pages; the last one is the only one without a checkpoint."""
        session, found = self.session(**options), stream_of(ConnectorType.DELIVRAI, stream)
        assert found is not None
        try:
            pages = list(CONNECTOR.read(session, found, start or full()))
        finally:
            session.close()
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
        assert pages[-1].watermark is not None
        return pages

    def health(self, *, keys: dict[str, str] | None = None, **options: Any) -> Health:
        """What a health check says."""
        session = self.session(keys=keys, **options)
        try:
            return CONNECTOR.health_check(session)
        finally:
            session.close()

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

    def mutate(self, kind: str, action: str, **wish: Any) -> list[str]:
        """Change records; gives their ids."""
        asked = {"org": self.name, "object": kind, "action": action, **wish}
        found: list[str] = self.ask("POST", "mutate", asked)["ids"]
        return found

    def truth(self, kind: str = "IntentSignal") -> list[dict[str, Any]]:
        """Live records."""
        found: list[dict[str, Any]] = self.ask("GET", f"truth?org={self.name}&object={kind}")
        return found

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """Vendor requests served, oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"journal?limit=100000&path={path}")["entries"]
        return found


def soon() -> datetime:
    """An upper bound just ahead of everything that has happened."""
    return datetime.now(UTC) + timedelta(seconds=5)


def full(checkpoint: str | None = None, until: datetime | None = None) -> ReadFrom:
    """A full read."""
    return ReadFrom(SyncMode.FULL, until or soon(), checkpoint=checkpoint)


def since(watermark: str | None, until: datetime | None = None) -> ReadFrom:
    """An incremental read."""
    return ReadFrom(SyncMode.INCREMENTAL, until or soon(), watermark)


def records_of(pages: Iterable[Page]) -> list[SourceRecord]:
    """Their records in order."""
    return [record for page in pages for record in page.records]


def ids_of(pages: Iterable[Page]) -> list[str]:
    """Their records' ids in order."""
    return [record.external_id for record in records_of(pages)]
