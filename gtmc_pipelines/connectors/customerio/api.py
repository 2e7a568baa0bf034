"""Calls to Customer.io's App API: one key, one region, one pace for all threads of a session."""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec
import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.conversation import Conversation
from gtmc_pipelines.connectors.customerio.errors import CONNECT_AGAIN, VENDOR, fault_of, is_busy_second
from gtmc_pipelines.connectors.customerio.hosts import base_url, probe_url, region_of
from gtmc_pipelines.connectors.error_rules import for_tenant
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.pacing import Pace
from gtmc_pipelines.connectors.retry import Transient, is_maintenance_page
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.vault.secret import Secret

REQUESTS_PER_SECOND = 10
KEPT_FREE = 0.1
"""Share of the workspace's bucket left to its other users, and for requests that the network bunches up."""
MOST_PEOPLE, MOST_MESSAGES, MOST_ACTIVITIES, MOST_ATTRIBUTES = 1000, 1000, 100, 100
EVERYBODY = {"filter": {"and": [{"attribute": {"field": "cio_id", "operator": "exists"}}]}}

_ANYTHING = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Workspace(msgspec.Struct):
    id: int


class _Seen(msgspec.Struct):
    """What the probe tells of whose key it is: the vendor's answer, or that of the product's documentation."""

    workspaces: list[_Workspace] = []
    environment_id: int | None = None


class CustomerioHttp(VendorSession):
    """The HTTP session of one workspace."""

    def __init__(
        self,
        key: Secret,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        super().__init__(VENDOR, settings, clock=clock, sleep=sleep)
        self._key = key
        rate = float(settings.options.get("requests_per_second") or REQUESTS_PER_SECOND)
        self._pace = Pace(1, 1 / (rate * (1 - KEPT_FREE)), sleep=self.stand_by)
        self._held_until = 0.0
        self._counting = threading.Lock()

    def is_transient(self, response: requests.Response) -> bool:
        """Besides the usual: a maintenance page. A 429 only when it is about the last second, not the day."""
        if is_maintenance_page(response):
            return True
        if response.status_code == 429:
            return is_busy_second(429, bool(response.headers.get("Retry-After")), response.content)
        return super().is_transient(response)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with the key. Any refusal is raised as a SyncFault."""
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        response = super().send(request, **kwargs)
        if response.status_code >= 300:
            raise fault_of(response.status_code, response.content, self.clock(), self._settings.tenant_id)
        return response

    def _attempt(self, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        """One attempt, in its turn; when the vendor asks for patience, every thread is patient."""
        left = self._held_until - time.monotonic()
        if left > 0:
            self.wait_as_asked(left)
        self._pace.take()
        try:
            return super()._attempt(request, kwargs)
        except Transient as fault:
            if fault.after_seconds:
                with self._counting:
                    self._held_until = max(self._held_until, time.monotonic() + fault.after_seconds)
            raise


class CustomerioSession(Conversation[CustomerioHttp]):
    """An authenticated conversation with one workspace; its calls give bodies as they came."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        key = credentials.read().get("api_key")
        if not key:
            next_step = for_tenant(CONNECT_AGAIN, settings.tenant_id)
            raise Reauthorize("not_connected", f"{VENDOR} is not connected.", next_step=next_step)
        super().__init__(settings, CustomerioHttp(key, settings, clock=clock, sleep=sleep))
        self.base_url = base_url(settings)
        self.credentials = credentials

    def probe(self) -> tuple[str, ...]:
        """The cheap call that proves a key; gives the workspaces it sees, `region:id`, where the answer tells them.

        Raises Reauthorize when the key is refused.
        """
        body = self.http.get(probe_url(self.settings)).content
        decode_page(body, _ANYTHING, VENDOR)
        try:
            seen = msgspec.json.decode(body, type=_Seen)
        except msgspec.MsgspecError:  # an installation's own probe
            return ()
        ids = [each.id for each in seen.workspaces] or ([] if seen.environment_id is None else [seen.environment_id])
        return tuple(f"{region_of(self.settings)}:{number}" for number in sorted(set(ids)))

    def search_people(self, start: str, limit: int = MOST_PEOPLE) -> bytes:
        """A page of everybody's identifiers."""
        query = {"limit": str(limit), **({"start": start} if start else {})}
        return self.http.post(f"{self.base_url}/customers", params=query, json=EVERYBODY).content

    def attributes(self, cio_ids: list[str]) -> bytes:
        """Attributes of up to 100 people; those unknown by now are left out."""
        url = f"{self.base_url}/customers/attributes"
        return self.http.post(url, params={"id_type": "cio_id"}, json={"ids": cio_ids}).content

    def email_messages(self, low: int, high: int, start: str, limit: int = MOST_MESSAGES) -> bytes:
        """A page of mails created from `low` to `high` (unix seconds, both included), newest first."""
        query = {"type": "email", "start_ts": str(low), "end_ts": str(high), "limit": str(limit)}
        return self.http.get(f"{self.base_url}/messages", params=query | ({"start": start} if start else {})).content

    def activities(self, start: str, limit: int = MOST_ACTIVITIES) -> bytes:
        """A page of activities, newest first."""
        query = {"limit": str(limit), **({"start": start} if start else {})}
        return self.http.get(f"{self.base_url}/activities", params=query).content

    def option(self, name: str, default: int) -> int:
        """A numeric option."""
        value = self.settings.options.get(name)
        return default if value is None else int(value)
