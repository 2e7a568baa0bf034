"""An organization of the imitated Delivr.ai, as tests drive it: connect, read, mutate, break."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.delivrai.api import DelivraiSession
from gtmc_pipelines.connectors.delivrai.connector import DelivraiConnector
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Health, Page, ReadFrom
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.vendor_scene import VendorScene, full, soon, whole

CONNECTOR = DelivraiConnector()
SIGNALS, COMPANIES = "intent_signals", "company_enrichment"
PUBLIC: dict[str, Any] = {"profile": "public", "topic_id": "4eyes_112"}
FAST = 1_000


@dataclass
class Organization(VendorScene):
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
            return whole(CONNECTOR.read(session, found, start or full()))
        finally:
            session.close()

    def health(self, *, keys: dict[str, str] | None = None, **options: Any) -> Health:
        """What a health check says."""
        session = self.session(keys=keys, **options)
        try:
            return CONNECTOR.health_check(session)
        finally:
            session.close()

    def mutate(self, kind: str, action: str, **wish: Any) -> list[str]:
        """Change records; gives their ids."""
        return self.change(kind, action, **wish)

    def truth(self, kind: str = "IntentSignal") -> list[dict[str, Any]]:
        """Live records."""
        return self.live(kind)


def since(watermark: str | None, until: datetime | None = None) -> ReadFrom:
    """An incremental read."""
    return ReadFrom(SyncMode.INCREMENTAL, until or soon(), watermark)
