"""A directory of the imitated Microsoft 365, as tests drive it: read, mutate, break, count."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gtmc_pipelines.cli.truth import o365 as truth
from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.connectors.o365.api import O365Session
from gtmc_pipelines.connectors.o365.connector import O365Connector
from gtmc_pipelines.connectors.o365.streams import read_mailbox
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Unserved
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.vendor_scene import VendorScene, records_of, soon, whole

STREAM = STREAMS[ConnectorType.O365][0]


@dataclass
class Directory(VendorScene):
    """One directory; every wait of its sessions is noted in `waits` and not waited."""

    vendor: dict[str, Any]
    ca_file: str
    name: str = "acme"
    waits: list[float] = field(default_factory=list)
    left_out: dict[str, Unserved] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.control = self.vendor["http"]

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
        """All mailboxes that could be read, by slice; `left_out` tells of the others."""
        found: dict[str, list[Page]] = {}
        for part in O365Connector().slices(session, STREAM):
            try:
                found[part.key] = pages_of(session, start(part.key))
            except Unserved as fault:
                self.left_out[part.key] = fault
        return found

    def mailbox(self, number: int = 0) -> str:
        """Id of a user with a mailbox."""
        users = self.live("User")
        return str(users[number]["id"])

    def mutate(self, action: str, kind: str = "Message", **wish: Any) -> list[str]:
        return self.change(kind, action, **wish)

    def expected(self) -> dict[str, dict[str, Any]]:
        """What the activities must be, by external id."""
        return truth.expected(self.live)["activities"]


def full(slice_key: str, checkpoint: str | None = None, until: datetime | None = None) -> ReadFrom:
    """A full read."""
    return ReadFrom(SyncMode.FULL, until or soon(), checkpoint=checkpoint, slice=slice_key)


def since(slice_key: str, watermark: str | None, checkpoint: str | None = None) -> ReadFrom:
    """An incremental read."""
    return ReadFrom(SyncMode.INCREMENTAL, soon(), watermark, checkpoint, slice_key)


def pages_of(session: O365Session, start: ReadFrom) -> list[Page]:
    """All pages; the last one is the only one without a checkpoint."""
    return whole(read_mailbox(session, start))


def all_records(read: dict[str, list[Page]]) -> list[SourceRecord]:
    return [record for pages in read.values() for record in records_of(pages)]
