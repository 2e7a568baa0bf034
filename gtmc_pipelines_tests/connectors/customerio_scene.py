"""A workspace of the imitated Customer.io, as tests drive it: connect, read, mutate, break."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.cli.truth.customerio import expected
from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.customerio.api import CustomerioSession
from gtmc_pipelines.connectors.customerio.connector import CustomerioConnector
from gtmc_pipelines.connectors.customerio.streams import read_stream
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.vendor_scene import VendorScene, whole

FAST = 1_000
SIZES = {
    "customerio_people": 230,
    "customerio_messages": 240,
    "customerio_activities": 260,
    "customerio_requests_per_second": FAST,
}


@dataclass
class Workspace(VendorScene):
    """One workspace over https; every wait of its sessions is noted in `waits` and not waited."""

    base: str
    control: str
    ca_file: str
    keys: dict[str, str]
    name: str = "acme"
    waits: list[float] = field(default_factory=list)
    sessions: list[CustomerioSession] = field(default_factory=list)

    @classmethod
    def of(cls, sandbox: dict[str, Any], name: str = "acme") -> Workspace:
        vendor = sandbox["vendors"]["customerio"]
        return cls(vendor["https"], vendor["http"], sandbox["ca_file"], vendor["credentials"]["orgs"][name], name)

    def settings(self, **options: Any) -> ConnectorSettings:
        hosts = frozenset(urllib.parse.urlsplit(url).netloc for url in (self.base, self.control))
        addresses = {"us_url": "/v1", "eu_url": "/eu/v1", "track_url": "/api/v1"}
        return ConnectorSettings(
            tenant_id=self.name,
            connector_id="c-1",
            options={
                **{name: self.base + path for name, path in addresses.items()},
                "requests_per_second": FAST,
                "page_records": 50,
                **options,
            },
            sandbox_hosts=hosts,
            ca_file=self.ca_file,
            http=HttpLimits(max_attempts=4),
        )

    def session(self, key: str = "", **options: Any) -> CustomerioSession:
        held = HeldCredentials({"api_key": Secret(key or self.keys["api_key"])})
        session = CustomerioSession(held, self.settings(**options), sleep=self.waits.append)
        self.sessions.append(session)
        return session

    def pages(self, stream: str, start: ReadFrom, **options: Any) -> list[Page]:
        """All pages; the last one is the only one without a checkpoint, and carries the watermark."""
        return whole(read_stream(self.session(**options), stream, start))

    def mutate(self, kind: str, action: str, **wish: Any) -> list[str]:
        """Change records; gives their ids."""
        return self.change(kind, action, **wish)

    def truth(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What canonical rows must be."""
        return expected(self.live)

    def close(self) -> None:
        """Close all sessions."""
        for session in self.sessions:
            session.close()


def rows_of(stream: str, records: Iterable[SourceRecord]) -> dict[str, dict[str, Any]]:
    """Canonical rows by the default mapping."""
    found = stream_of(ConnectorType.CUSTOMERIO, stream)
    assert found is not None
    entity = found.entities[0]
    mapper = compile_mapping(entity, CustomerioConnector().default_mappings()[entity], stream)
    return {record.external_id: mapper.values(record.payload) for record in records}
