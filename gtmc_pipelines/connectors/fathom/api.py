"""Calls to Fathom, paced as its limits ask: each attempt waits for its place in the window.

Requests that carry transcripts or summaries are "heavy" and have a tighter limit of their own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.conversation import Conversation
from gtmc_pipelines.connectors.fathom import auth
from gtmc_pipelines.connectors.fathom.errors import fault_of
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.pacing import Pace
from gtmc_pipelines.connectors.retry import is_maintenance_page
from gtmc_pipelines.connectors.vendor_numbers import count_of, seconds_left
from gtmc_pipelines.model.errors import Broken

DEFAULT_LIMIT, DEFAULT_HEAVY_LIMIT, DEFAULT_SECONDS = 60, 30, 60
_LONGEST_RESET = 3600  # a larger RateLimit-Reset is no number of seconds left
_INCLUDES = "include_transcript=true"
_NULL = msgspec.Raw(b"null")


class _Transcript(msgspec.Struct):
    transcript: msgspec.Raw = _NULL


class _Summary(msgspec.Struct):
    summary: msgspec.Raw = _NULL


_TRANSCRIPT = msgspec.json.Decoder(_Transcript)
_SUMMARY = msgspec.json.Decoder(_Summary)


class FathomHttp(VendorSession):
    """The HTTP session of one key."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        super().__init__("Fathom", settings, clock=clock, sleep=sleep)
        self.profile = auth.profile_of(settings.options)
        self._key = auth.api_key(credentials, settings.tenant_id)
        self._all = self._pace("rate_limit", DEFAULT_LIMIT)
        self._heavy = self._pace("heavy_rate_limit", DEFAULT_HEAVY_LIMIT)
        self._closed_until = 0.0

    def is_transient(self, response: requests.Response) -> bool:
        """Besides the usual: a maintenance page in place of JSON."""
        return is_maintenance_page(response) or super().is_transient(response)

    def wish_of(self, response: requests.Response) -> float | None:
        """`Retry-After`, which Fathom doesn't document but SDKs obey; else what is left of the window."""
        wish = super().wish_of(response)
        return _reset_seconds(response) if wish is None and response.status_code == 429 else wish

    def before_attempt(self, request: requests.PreparedRequest) -> None:
        """Wait for a place in the window, and for the next one when the vendor says that this one is used up."""
        left = self._closed_until - time.monotonic()
        if left > 0:
            self.wait_as_asked(left)
        self._all.take()
        if _is_heavy(request.url or ""):
            self._heavy.take()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with the key. Any refusal is raised as a SyncFault."""
        name, value = auth.header_of(self._key, self.profile.auth_style)
        request.headers[name] = value
        response = super().send(request, **kwargs)
        self._note_limits(response)
        if response.status_code >= 300:
            has_includes = _INCLUDES in (request.url or "")
            raise fault_of(response.status_code, self._settings.tenant_id, has_includes=has_includes)
        return response

    def _note_limits(self, response: requests.Response) -> None:
        remaining, limit = (count_of(response.headers.get(f"RateLimit-{name}")) for name in ("Remaining", "Limit"))
        if remaining is not None and limit is not None:
            self.gauges |= {"api_left": remaining, "api_limit": limit}
        if remaining == 0:
            self._closed_until = time.monotonic() + (_reset_seconds(response) or 0.0)

    def _pace(self, option: str, default: int) -> Pace:
        limit = int(self._settings.options.get(option) or default)
        seconds = float(self._settings.options.get("rate_seconds") or DEFAULT_SECONDS)
        return Pace(limit, seconds, sleep=self.pause)


class FathomSession(Conversation[FathomHttp]):
    """An authenticated conversation on behalf of whoever the key belongs to."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        super().__init__(settings, FathomHttp(credentials, settings, clock=clock, sleep=sleep))

    @property
    def probe_url(self) -> str:
        """The address the health check calls."""
        return self.http.profile.base_url + self.http.profile.probe_path

    def probe(self) -> None:
        """The cheapest authenticated call. Raises by the vendor's refusal."""
        self.http.get(self.probe_url)

    def meetings(self, parameters: Mapping[str, str]) -> bytes:
        """One page of meetings as it came."""
        return self._get(f"/meetings?{urlencode(parameters)}")

    def transcript(self, recording_id: str) -> msgspec.Raw:
        """The transcript of a recording, null while there is none."""
        body = self._get_if_there(f"/recordings/{quote(recording_id, safe='')}/transcript")
        return _NULL if body is None else decode_page(body, _TRANSCRIPT, "Fathom").transcript

    def summary(self, recording_id: str) -> msgspec.Raw:
        """The summary of a recording, null while there is none."""
        body = self._get_if_there(f"/recordings/{quote(recording_id, safe='')}/summary")
        return _NULL if body is None else decode_page(body, _SUMMARY, "Fathom").summary

    def has_recording(self, recording_id: str) -> bool:
        """Whether a recording is there for this key: its summary answers, even when it has none."""
        return self._get_if_there(f"/recordings/{quote(recording_id, safe='')}/summary") is not None

    def _get(self, path: str) -> bytes:
        return self.http.get(self.http.profile.base_url + path).content

    def _get_if_there(self, path: str) -> bytes | None:
        try:
            return self._get(path)
        except Broken as fault:
            if fault.code != "not_found":
                raise
            return None


def _is_heavy(url: str) -> bool:
    return _INCLUDES in url or "/recordings/" in urlsplit(url).path


def _reset_seconds(response: requests.Response) -> float | None:
    """Seconds left in the window by `RateLimit-Reset`, None when it says nothing usable."""
    return seconds_left(response.headers.get("RateLimit-Reset"), _LONGEST_RESET)
