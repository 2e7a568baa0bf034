"""Calls to Delivr.ai: the keys in their headers, the pace kept, every refusal turned into the error tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.conversation import Conversation
from gtmc_pipelines.connectors.delivrai.dialect import Dialect, dialect_of
from gtmc_pipelines.connectors.delivrai.errors import NEW_KEY, VENDOR, fault_of
from gtmc_pipelines.connectors.error_rules import for_tenant
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.pacing import Pace
from gtmc_pipelines.model.errors import Broken, Reauthorize
from gtmc_pipelines.vault.secret import Secret

KEPT_FREE = 0.2
"""Share of the allowed rate left free: requests of several threads arrive bunched up."""


class _Project(msgspec.Struct):
    project_id: str


class _Organization(msgspec.Struct, frozen=True):
    organization_id: str = ""


class _Identity(msgspec.Struct):
    organization: _Organization = _Organization()
    projects: list[_Project] = []


class _Whoami(msgspec.Struct):
    response: _Identity


_WHOAMI = msgspec.json.Decoder(_Whoami)


def organizations_in(answer: bytes) -> tuple[str, ...]:
    """The organization a probe's answer names; nothing where it names none, as the platform's own contract."""
    try:
        found = _WHOAMI.decode(answer).response.organization.organization_id
    except msgspec.MsgspecError:
        return ()
    return (found,) if found else ()


class DelivraiHttp(VendorSession):
    """The HTTP session of one tenant's key."""

    def __init__(
        self, headers: Mapping[str, Secret], settings: ConnectorSettings, pace: int, clock: Clock, sleep: Sleep | None
    ) -> None:
        super().__init__(VENDOR, settings, clock=clock, sleep=sleep)
        self._secret_headers = headers
        # evenly, not in bursts: the next session of the same sync may start at once
        self._pace = Pace(1, 1 / (pace * (1 - KEPT_FREE)), sleep=self.stand_by)

    def before_attempt(self, request: requests.PreparedRequest) -> None:
        """Keep the pace, further attempts included."""
        self._pace.take()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with the keys. Any refusal is raised as a SyncFault."""
        for name, value in self._secret_headers.items():
            request.headers[name] = value.reveal()
        response = super().send(request, **kwargs)
        if response.status_code >= 300:
            parts = urlsplit(request.url or "")
            place = f"{parts.hostname}{parts.path}"
            raise fault_of(response.status_code, response.content, place, self._settings.tenant_id)
        return response


class DelivraiSession(Conversation[DelivraiHttp]):
    """An authenticated conversation with Delivr.ai on behalf of one tenant; safe to share between threads."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        self.dialect = dialect_of(settings.options, settings.sandbox_hosts)
        headers = _headers(credentials, self.dialect, settings.tenant_id)
        super().__init__(settings, DelivraiHttp(headers, settings, self.dialect.requests_per_second, clock, sleep))

    @property
    def health_url(self) -> str:
        """What a health check calls."""
        return self.dialect.url(self.dialect.health_path)

    def probe(self) -> bytes:
        """The answer of the health path. Raises Reauthorize when the key is refused."""
        return self.http.get(self.health_url).content

    def get(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """The body of a GET."""
        return self.http.get(self.dialect.url(path), params=dict(parameters)).content

    def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of a POST of JSON."""
        return self.http.post(self.dialect.url(path), json=dict(body)).content

    def project_id(self) -> str:
        """The project to read: the option, or the only one the key can see (public profile).

        Raises Broken when there are several and none is chosen.
        """
        if self.dialect.project_id:
            return self.dialect.project_id
        projects = decode_page(self.probe(), _WHOAMI, VENDOR).response.projects
        if len(projects) != 1:
            raise Broken(
                "project_not_chosen",
                f"The Delivr.ai key sees {len(projects)} projects, and none is chosen.",
                next_step="Add the connector again with --option project_id=… (or pixel_id=…).",
            )
        return projects[0].project_id


def _headers(credentials: CredentialSource, dialect: Dialect, tenant: str) -> dict[str, Secret]:
    """Header by secret. Raises Reauthorize when one is missing."""
    held = credentials.read()
    wanted = {dialect.key_header: "api_key"}
    if dialect.is_public:
        wanted[dialect.secret_header] = "api_secret"
    missing = [name for name in wanted.values() if not held.get(name)]
    if missing:
        raise Reauthorize(
            "not_connected",
            f"There is no {' and no '.join(missing)} of Delivr.ai stored for this tenant.",
            next_step=for_tenant(NEW_KEY, tenant),
        )
    return {header: held[name] for header, name in wanted.items()}
