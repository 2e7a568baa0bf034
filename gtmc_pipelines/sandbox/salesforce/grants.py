"""Who may do what: authorization codes, refresh tokens and sessions of the imitated Salesforce."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gtmc_pipelines.sandbox.dice import token

CODE_SECONDS = 900
MAX_SESSIONS = 20_000
MAX_GRANTS = 5
"""Grants of one user with one app; a sixth ends the oldest (Salesforce Help, "Manage OAuth Access Policies")."""


@dataclass(slots=True)
class Code:
    """An authorization code: good once, for the address and the challenge it was given for."""

    org: str
    redirect_uri: str
    challenge: str | None
    method: str
    at: float
    scope: str


@dataclass(slots=True)
class Grant:
    """A consent of one org's user: `refresh_token` is the one that is good now."""

    id: int
    org: str
    refresh_token: str
    scope: str
    revoked: bool = False


class OAuthError(Exception):
    """An error answer of the token endpoint."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


class Grants:
    """All codes, grants and sessions. Every token says nothing about its org; only these tables know."""

    def __init__(self, seed: int, org_ids: Mapping[str, str]) -> None:
        self._seed, self._org_ids, self._made = seed, dict(org_ids), 0
        self.client_id = "3MVG9" + token(40, seed, "client_id")
        self.client_secret = token(64, seed, "client_secret")
        self.codes: dict[str, Code] = {}
        self.grants: dict[str, Grant] = {}
        self.spent: dict[str, int] = {}
        self.ready = {self._session_token(org, "ready"): org for org in org_ids}
        self.sessions: dict[str, tuple[str, int]] = {session: (org, 0) for session, org in self.ready.items()}

    def _session_token(self, org: str, *parts: object) -> str:
        return f"{self._org_ids[org][:15]}!AQ{token(60, self._seed, org, 'session', *parts)}"

    def ready_session(self, org: str) -> str:
        """The session that is there from the start, for clients that bring no OAuth. Knobs can't end it."""
        return self._session_token(org, "ready")

    def new_code(self, code: Code) -> str:
        """Give out an authorization code."""
        self._made += 1
        text = "aPrx" + token(60, self._seed, "code", self._made)
        self.codes[text] = code
        return text

    def redeem(self, text: str, redirect_uri: str, verifier: str | None) -> tuple[Grant, str]:
        """Exchange a code for a grant and a session. Raises OAuthError."""
        code = self.codes.pop(text, None)
        if code is None:
            raise OAuthError("invalid_grant", "invalid authorization code")
        if time.time() - code.at > CODE_SECONDS:
            raise OAuthError("invalid_grant", "expired authorization code")
        if redirect_uri != code.redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
        _check_verifier(code, verifier)
        refresh_token = self._refresh_token()
        grant = Grant(self._made, code.org, refresh_token, code.scope)
        self.grants[grant.refresh_token] = grant
        self._end_the_oldest(code.org)
        return grant, self.open_session(grant)

    def _end_the_oldest(self, org: str) -> None:
        live = sorted(
            (one for one in self.grants.values() if one.org == org and not one.revoked), key=lambda one: one.id
        )
        for grant in live[:-MAX_GRANTS]:
            self._withdraw(grant)

    def refresh(self, text: str, *, rotate: bool) -> tuple[Grant, str]:
        """Exchange a refresh token for a session, and a new refresh token when they rotate. Raises OAuthError.

        One that was rotated already is in two hands: all tokens of its grant end ("Refresh Token Rotation").
        """
        if text in self.spent:
            for one in [one for one in self.grants.values() if one.id == self.spent[text]]:
                self._withdraw(one)
        grant = self.grants.get(text)
        if grant is None or grant.revoked:
            raise OAuthError("invalid_grant", "expired access/refresh token")
        if rotate:
            del self.grants[text]
            self.spent[text] = grant.id
            grant.refresh_token = self._refresh_token()
            self.grants[grant.refresh_token] = grant
        return grant, self.open_session(grant)

    def _refresh_token(self) -> str:
        self._made += 1
        return "5Aep861" + token(70, self._seed, "refresh", self._made)

    def open_session(self, grant: Grant) -> str:
        """A new access token."""
        self._made += 1
        session = self._session_token(grant.org, self._made)
        self.sessions[session] = (grant.org, grant.id)
        while len(self.sessions) > MAX_SESSIONS:
            oldest = next(one for one in self.sessions if one not in self.ready)
            del self.sessions[oldest]
        return session

    def end_session(self, session: str) -> None:
        """Let a session expire, unless it is a ready-made one."""
        if session not in self.ready:
            self.sessions.pop(session, None)

    def revoke(self, text: str) -> bool:
        """Revoke a refresh token (and the grant's sessions) or an access token; False when it is unknown."""
        if text in self.sessions:
            self.end_session(text)
            return True
        grant = self.grants.get(text)
        if grant is None:
            return False
        self._withdraw(grant)
        return True

    def revoke_org(self, org: str) -> None:
        """The administrator withdraws the app's consent: all refresh tokens and sessions of an org end."""
        for grant in self.grants.values():
            if grant.org == org:
                self._withdraw(grant)

    def _withdraw(self, grant: Grant) -> None:
        grant.revoked = True
        for session in [one for one, (_, grant_id) in self.sessions.items() if grant_id == grant.id]:
            self.end_session(session)

    def org_of(self, session: str) -> str | None:
        """The org a session opens, or None."""
        found = self.sessions.get(session)
        return found[0] if found else None

    def dump(self) -> dict[str, Any]:
        """Grants and sessions, for the next start. Codes are too short-lived to be worth it."""
        return {
            "made": self._made,
            "grants": [asdict(grant) for grant in self.grants.values()],
            "spent": self.spent,
            "sessions": [[session, *owner] for session, owner in self.sessions.items() if session not in self.ready],
        }

    def load(self, state: Mapping[str, Any], orgs: Iterable[str]) -> None:
        """Take up what `dump` gave, for the orgs that still exist."""
        known = set(orgs)
        self._made = int(state["made"])
        for item in state["grants"]:
            if item["org"] in known:
                self.grants[item["refresh_token"]] = Grant(**item)
        self.spent = {text: int(grant_id) for text, grant_id in state.get("spent", {}).items()}
        for session, org, grant_id in state["sessions"]:
            if org in known:
                self.sessions[session] = (org, grant_id)


def challenge_of(verifier: str, method: str = "S256") -> str:
    """The PKCE challenge of a verifier."""
    if method == "plain":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _check_verifier(code: Code, verifier: str | None) -> None:
    if code.challenge is None:
        return
    if not verifier:
        raise OAuthError("invalid_grant", "code verifier missing")
    if challenge_of(verifier, code.method) != code.challenge.rstrip("="):
        raise OAuthError("invalid_request", "invalid code verifier")
