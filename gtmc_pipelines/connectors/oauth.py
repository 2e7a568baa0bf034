"""OAuth 2.0 building blocks: PKCE, and a state that is signed, short-lived and good for one use.

The state is `payload.signature`: base64url JSON of nonce, tenant, connector and expiry, with an
HMAC-SHA256. What makes it single-use is kept by the caller through `StateMemory` (the database).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.vault.secret import Secret

STATE_LIFE = timedelta(minutes=10)
_START_AGAIN = "Start again with `gtmc connectors connect`."


class StateMemory(Protocol):
    """Remembers which states are out and gives each back once. Only a hash of the nonce is kept."""

    def remember(self, nonce_hash: bytes, expires_at: datetime) -> None:
        """Note that a state was issued."""
        ...

    def consume(self, nonce_hash: bytes, now: datetime) -> bool:
        """True the first time for a remembered hash that hasn't expired, False ever after."""
        ...


@dataclass(frozen=True, slots=True)
class Pkce:
    """Proof key for code exchange, method S256 (RFC 7636)."""

    verifier: Secret
    challenge: str

    @property
    def nonce(self) -> str:
        """What an id token of this login must repeat: as unguessable as the verifier, and tells nothing of it."""
        return _encode(hashlib.sha256(b"gtmc nonce\0" + self.verifier.reveal().encode("ascii")).digest())

    @classmethod
    def fresh(cls) -> Pkce:
        """A new pair; the verifier is 64 characters of the unreserved set (43 to 128 are allowed)."""
        return cls.of(secrets.token_urlsafe(48))

    @classmethod
    def of(cls, verifier: str) -> Pkce:
        """The pair of a given verifier."""
        if not 43 <= len(verifier) <= 128:
            raise ValueError("a PKCE verifier has 43 to 128 characters")
        return cls(Secret(verifier), _encode(hashlib.sha256(verifier.encode("ascii")).digest()))


@dataclass(frozen=True, slots=True)
class StateSigner:
    """Issues and redeems states under `key` (32 bytes or more)."""

    key: bytes = field(repr=False)
    memory: StateMemory = field(repr=False)

    def issue(self, tenant_id: str, connector_id: str, now: datetime) -> str:
        """A fresh state for this connector, good for ten minutes and one use."""
        nonce, expires_at = secrets.token_urlsafe(16), now + STATE_LIFE
        self.memory.remember(_hash(nonce), expires_at)
        content = {"n": nonce, "t": tenant_id, "c": connector_id, "e": int(expires_at.timestamp())}
        payload = _encode(json.dumps(content, separators=(",", ":")).encode())
        return f"{payload}.{self._signature(payload)}"

    def redeem(self, state: str, tenant_id: str, connector_id: str, now: datetime) -> None:
        """Accept a state that came back. Raises Misuse when it is altered, foreign, expired or used."""
        payload, _, signature = state.partition(".")
        if not hmac.compare_digest(self._signature(payload).encode(), signature.encode()):
            raise _refused("oauth_state_altered", "was altered or is not ours")
        content = _decode(payload)
        if (content["t"], content["c"]) != (tenant_id, connector_id):
            raise _refused("oauth_state_foreign", "belongs to another connector")
        if now >= datetime.fromtimestamp(content["e"], UTC):
            raise _refused("oauth_state_expired", "is older than ten minutes")
        if not self.memory.consume(_hash(content["n"]), now):
            raise _refused("oauth_state_used", "was used before")

    def withdraw(self, state: str, now: datetime) -> None:
        """Make a state that was issued here good for nothing, and forget it. One that is used up stays so."""
        self.memory.consume(_hash(_decode(state.partition(".")[0])["n"]), now)

    def _signature(self, payload: str) -> str:
        return _encode(hmac.digest(self.key, b"gtmc oauth state\0" + payload.encode(), "sha256"))


def _refused(code: str, why: str) -> Misuse:
    return Misuse(code, f"The answer of the login page is refused: its state {why}.", next_step=_START_AGAIN)


def _hash(nonce: str) -> bytes:
    return hashlib.sha256(nonce.encode()).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> dict[str, Any]:
    try:
        content = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        raise _refused("oauth_state_altered", "was altered or is not ours") from None
    return dict(content)
