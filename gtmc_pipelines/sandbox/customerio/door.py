"""Who may come in: App keys of either region, Track key pairs, the bucket of requests, and the faults of all three."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

from starlette.requests import HTTPConnection, Request

from gtmc_pipelines.sandbox.customerio.errors import ApiError, bad_request, unauthorized
from gtmc_pipelines.sandbox.customerio.workspace import REQUESTS_PER_SECOND, Workspace
from gtmc_pipelines.sandbox.vendor import exchange_of

THROTTLED = f"rate limited to {REQUESTS_PER_SECOND} requests per 1s"
DOOR_FAULTS = {
    "expired_key": "401, as for a withdrawn key",
    "forbidden": "403, as for a key without permission",
    "daily_quota": "429 without Retry-After, as when the day's quota is used up",
    "stale_start": "400 for a `start` that was good before",
}


class Door:
    """Finds the workspace behind a request."""

    def __init__(self, workspaces: Collection[Workspace]) -> None:
        self._workspaces = workspaces
        self._by_key = {
            (region, key): workspace
            for workspace in workspaces
            for region, key in (("us", workspace.api_key), ("eu", workspace.eu_api_key))
        }

    def known(self, connection: HTTPConnection) -> Workspace | None:
        """Whose credentials these are, whatever their kind and region."""
        key = _bearer(connection)
        return self._by_key.get(("us", key)) or self._by_key.get(("eu", key)) or self.tracked(connection)

    def admitted(self, request: Request) -> Workspace:
        """The workspace whose key a request carries, once its bucket has a place. Raises ApiError 401, 403 or 429."""
        workspace = self._by_key.get((region_of(request), _bearer(request)))
        if workspace is None:
            raise unauthorized()
        exchange = exchange_of(request)
        if not workspace.admits():
            raise ApiError(429, THROTTLED, {"Retry-After": "1"})
        if exchange.struck("daily_quota", workspace.name):
            raise ApiError(429, "daily quota exceeded")
        if exchange.struck("expired_key", workspace.name):
            raise unauthorized()
        if exchange.struck("forbidden", workspace.name):
            raise ApiError(403, "forbidden")
        if request.query_params.get("start") and exchange.struck("stale_start", workspace.name):
            raise bad_request("start is not valid")
        return workspace

    def tracked(self, connection: HTTPConnection) -> Workspace | None:
        """The workspace of a Track key pair in Basic credentials."""
        kind, _, text = connection.headers.get("authorization", "").partition(" ")
        try:
            pair = base64.b64decode(text, validate=True).decode() if kind.lower() == "basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            return None
        matching = (one for one in self._workspaces if pair == f"{one.site_id}:{one.track_key}")
        return next(matching, None)


def region_of(request: Request) -> str:
    """The region whose host was asked: the EU's is below `/eu`."""
    return "eu" if request.scope.get("root_path", "").endswith("/eu") else "us"


def _bearer(connection: HTTPConnection) -> str:
    kind, _, key = connection.headers.get("authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""
