"""An org of the imitated Salesforce, as tests drive it: connect, read, mutate, break."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials, HttpLimits
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.connectors.salesforce import auth
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession, open_session
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, read_stream
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.vault.secret import Secret

REDIRECT = "http://127.0.0.1:1717/callback"


@dataclass
class NotedCredentials:
    """A CredentialSource that notes what it stored, in order."""

    held: Credentials
    stored: list[dict[str, str]] = field(default_factory=list)

    def read(self) -> Credentials:
        return self.held

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        if self.held.get("access_token", Secret("")) == stale:
            self.held = {**self.held, **exchange(self.held)}
            self.stored.append({name: value.reveal() for name, value in self.held.items()})
        return self.held


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


@dataclass
class Org:
    """One org; every wait of its sessions is noted in `waits` and not waited."""

    base: str
    client_id: str
    client_secret: str
    access_token: str
    ca_file: str
    control: str
    name: str = "acme"
    waits: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, sandbox: dict[str, Any], name: str = "acme", scheme: str = "http") -> Org:
        vendor = sandbox["vendors"]["salesforce"]
        given = vendor["credentials"]
        token = given["orgs"][name]["access_token"]
        return cls(
            vendor[scheme], given["client_id"], given["client_secret"], token, sandbox["ca_file"], vendor["http"], name
        )

    @property
    def host(self) -> str:
        return urllib.parse.urlsplit(self.base).netloc

    def settings(self, **options: Any) -> ConnectorSettings:
        limits = HttpLimits(max_attempts=options.pop("max_attempts", 6))
        return ConnectorSettings(
            tenant_id=self.name,
            connector_id="c-1",
            options={"login_url": self.base, "instance_url": self.base, "bulk_threshold": 1_000_000, **options},
            app={"client_id": Secret(self.client_id), "client_secret": Secret(self.client_secret)},
            sandbox_hosts=frozenset({self.host}),
            ca_file=self.ca_file,
            http=limits,
        )

    def session(self, credentials: NotedCredentials | None = None, **options: Any) -> SalesforceSession:
        held = credentials or NotedCredentials({"access_token": Secret(self.access_token)})
        return open_session(held, self.settings(**options), sleep=self.waits.append)

    def granted(self) -> NotedCredentials:
        """Credentials from a real authorization code flow with PKCE."""
        settings, pkce = self.settings(), Pkce.fresh()
        url = auth.authorize_url(settings, REDIRECT, "state-1", pkce, login_hint=self.name)
        opener = urllib.request.build_opener(_NoRedirects)
        try:
            opener.open(url, timeout=10).close()
            raise AssertionError("the login page did not send the browser back")
        except urllib.error.HTTPError as answer:
            target = answer.headers["Location"]
            answer.close()
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)["code"][0]
        with VendorSession("Salesforce", settings) as http:
            grant = auth.exchange_code(http, settings, Secret(code), REDIRECT, pkce)
        assert grant.missing_scopes == ()
        return NotedCredentials(grant.credentials)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A control page's answer."""
        request = urllib.request.Request(f"{self.control}/_sandbox/{path}", method=method)
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            text = answer.read().decode()
        return [json.loads(line) for line in text.splitlines()] if "object=" in path else json.loads(text)

    def break_(self, fault: str, **wish: Any) -> None:
        """Switch a fault on for this org."""
        self.ask("POST", "knobs", {"fault": fault, "org": self.name, **wish})

    def mutate(self, kind: str, action: str, **wish: Any) -> list[str]:
        """Change records; gives their ids."""
        asked = {"org": self.name, "object": kind, "action": action, **wish}
        found: list[str] = self.ask("POST", "mutate", asked)["ids"]
        return found

    def truth(self, kind: str) -> dict[str, dict[str, Any]]:
        """Live records by id."""
        return {one["Id"]: one for one in self.ask("GET", f"truth?org={self.name}&object={kind}")}

    def size(self, kind: str) -> int:
        """How many records a full read meets, those in the recycle bin included."""
        counts = self.ask("GET", f"truth?org={self.name}&digest=false")["objects"][kind]
        return int(counts["live"]) + int(counts["deleted"])

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """Vendor requests served, oldest first."""
        found: list[dict[str, Any]] = self.ask("GET", f"journal?limit=100000&path={urllib.parse.quote(path)}")[
            "entries"
        ]
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


def pages_of(session: SalesforceSession, stream: str, start: ReadFrom) -> list[Page]:
    """All pages; the last one is the only one without a checkpoint."""
    pages = list(read_stream(session, stream, start))
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1].watermark is not None
    return pages


def records_of(pages: Iterable[Page]) -> list[SourceRecord]:
    """Their records in order."""
    return [record for page in pages for record in page.records]


def assert_is_truth(records: list[SourceRecord], truth: dict[str, dict[str, Any]], stream: str) -> None:
    """Live records read are exactly the org's, each once and field by field."""
    live = [record for record in records if not record.is_deleted]
    assert len({record.external_id for record in records}) == len(records)
    assert {record.external_id for record in live} == set(truth), OBJECTS[stream]
    for record in live:
        fields = json.loads(record.payload)
        assert "attributes" not in fields
        expected = truth[record.external_id]
        assert fields == {name: expected[name] for name in fields}
