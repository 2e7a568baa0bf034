"""App registration, directories and app-only tokens of the imitated Microsoft 365."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from gtmc_pipelines.sandbox.dice import token
from gtmc_pipelines.sandbox.o365.errors import LoginError
from gtmc_pipelines.sandbox.o365.people import guid

LIFE_SECONDS = 3599
MOST_TOKENS = 20_000
ROLES = ("Calendars.Read", "Mail.ReadBasic.All", "User.Read.All")
_SCOPED_ROLES = ("User.Read.All",)
_RESOURCE = "https://graph.microsoft.com"


class Tokens:
    """One app, consented to by every directory unless its consent was withdrawn."""

    def __init__(self, seed: int, orgs: Iterable[str]) -> None:
        self._seed, self._made = seed, 0
        self.client_id = guid(seed, "client_id")
        self.client_secret = "8Q~" + token(36, seed, "client_secret")
        self.directories = {guid(seed, org, "directory"): org for org in orgs}
        self.withdrawn: set[str] = set()
        self.ready = {self._token(org, "ready"): org for org in self.directories.values()}
        self.live: dict[str, tuple[str, float]] = {}

    def directory_of(self, org: str) -> str:
        """The directory id of an org."""
        return next(directory for directory, name in self.directories.items() if name == org)

    def org_named(self, text: str) -> str | None:
        """The org a path segment means: directory id, domain or name."""
        low = text.lower()
        if low in self.directories:
            return self.directories[low]
        return next((org for org in self.directories.values() if low in (org, f"{org}.example")), None)

    def issue(self, org: str, form: Mapping[str, str], *, is_scoped: bool = False) -> dict[str, Any]:
        """A token for client credentials, without the role for all mail if that is `is_scoped`. Raises LoginError."""
        if form.get("grant_type") != "client_credentials":
            raise LoginError(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        self.check_app(form, org)
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            text = f"The provided request must include a 'scope' input parameter. The scope {scope} is not valid."
            raise LoginError(400, "invalid_scope", 70011, text)
        self._made += 1
        text = self._token(org, self._made, roles=_SCOPED_ROLES if is_scoped else ROLES)
        self.live[text] = (org, time.time() + LIFE_SECONDS)
        while len(self.live) > MOST_TOKENS:
            del self.live[next(iter(self.live))]
        return {
            "token_type": "Bearer",
            "expires_in": LIFE_SECONDS,
            "ext_expires_in": LIFE_SECONDS,
            "access_token": text,
        }

    def check_app(self, form: Mapping[str, str], tenant: str) -> None:
        """Raise LoginError unless a form carries the app's id and secret."""
        if form.get("client_id") != self.client_id:
            text = f"Application with identifier '{form.get('client_id')}' was not found in the directory '{tenant}'."
            raise LoginError(400, "unauthorized_client", 700016, text)
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.client_secret.encode()):
            raise LoginError(401, "invalid_client", 7000215, "Invalid client secret provided.")

    def org_of(self, text: str) -> str | None:
        """The org a token opens, or None."""
        if text in self.ready:
            return self.ready[text]
        org, until = self.live.get(text, (None, 0.0))
        return org if until > time.time() else None

    def end(self, text: str) -> None:
        """Let a token expire, unless it is a ready-made one."""
        self.live.pop(text, None)

    def ready_token(self, org: str) -> str:
        """The token that is there from the start, for clients that bring no login."""
        return self._token(org, "ready")

    def _token(self, org: str, *parts: object, roles: tuple[str, ...] = ROLES) -> str:
        """Shaped like a JWT, signed by nobody: clients are to treat it as opaque."""
        head = {"typ": "JWT", "alg": "RS256", "kid": "sandbox"}
        claims = {"aud": _RESOURCE, "appid": self.client_id, "tid": self.directory_of(org), "roles": roles}
        signature = token(64, self._seed, org, "token", *parts) + token(64, self._seed, org, "rest", *parts)
        return f"{_encoded(head)}.{_encoded(claims)}.{signature}"

    def dump(self) -> dict[str, Any]:
        """Tokens and withdrawn consents, for the next start."""
        return {
            "made": self._made,
            "live": [[text, org, until] for text, (org, until) in self.live.items()],
            "withdrawn": sorted(self.withdrawn),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave."""
        self._made = int(state["made"])
        known = set(self.directories.values())
        self.live = {text: (org, until) for text, org, until in state["live"] if org in known}
        self.withdrawn = set(state["withdrawn"]) & known


def _encoded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
