"""An org of the imitated Salesforce, as tests drive it: connect, read, mutate, break."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials, HttpLimits
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.connectors.salesforce import auth
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession, open_session
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, read_stream
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.stack.sandbox_part import local_callbacks
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.vendor_scene import VendorScene, whole

REDIRECT = "http://localhost:8400/callback"


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
class Org(VendorScene):
    """One org; every wait of its sessions is noted in `waits` and not waited."""

    base: str
    client_id: str
    client_secret: str
    access_token: str
    ca_file: str
    control: str
    name: str = "acme"
    callback: str = REDIRECT
    waits: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, sandbox: dict[str, Any], name: str = "acme", scheme: str = "http") -> Org:
        vendor = sandbox["vendors"]["salesforce"]
        given = vendor["credentials"]
        token = given["orgs"][name]["access_token"]
        return cls(
            vendor[scheme],
            given["client_id"],
            given["client_secret"],
            token,
            sandbox["ca_file"],
            vendor["http"],
            name,
            local_callbacks(vendor)[0],
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

    def mutate(self, kind: str, action: str, **wish: Any) -> list[str]:
        """Change records; gives their ids."""
        return self.change(kind, action, **wish)

    def truth(self, kind: str) -> dict[str, dict[str, Any]]:
        """Live records by id."""
        return {one["Id"]: one for one in self.live(kind)}

    def size(self, kind: str) -> int:
        """How many records a full read meets, those in the recycle bin included."""
        counts = self.ask("GET", f"truth?org={self.name}&digest=false")["objects"][kind]
        return int(counts["live"]) + int(counts["deleted"])


def pages_of(session: SalesforceSession, stream: str, start: ReadFrom) -> list[Page]:
    """All pages; the last one is the only one without a checkpoint."""
    return whole(read_stream(session, stream, start))


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
