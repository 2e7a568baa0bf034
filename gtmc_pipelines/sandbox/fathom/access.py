"""Who may ask: API keys of users, and tokens of OAuth apps whose refresh tokens work once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import HTTPConnection

from gtmc_pipelines.sandbox.dice import token

EXPIRES_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose credentials a request carries. OAuth apps may not use the include flags of lists."""

    account: str
    is_oauth: bool = False


@dataclass(slots=True)
class Tokens:
    """What the token endpoint gave last for an account."""

    account: str
    access: str
    refresh: str


class Access:
    """All keys, codes and tokens."""

    def __init__(self, seed: int, accounts: Iterable[str]) -> None:
        self._seed, self._made = seed, 0
        self.client_id, self.client_secret = token(32, seed, "fathom client"), token(48, seed, "fathom secret")
        self.keys = {f"{token(22, seed, name, 'fathom key')}.{token(43, seed, name, 'key')}": name for name in accounts}
        self.tokens: list[Tokens] = [
            Tokens(name, token(43, seed, name, "fathom access"), token(43, seed, name, "fathom refresh"))
            for name in self.keys.values()
        ]
        self.codes: dict[str, str] = {}

    def key_of(self, account: str) -> str:
        """The API key of an account."""
        return next(key for key, name in self.keys.items() if name == account)

    def tokens_of(self, account: str) -> Tokens:
        """The newest tokens of an account."""
        return next(one for one in reversed(self.tokens) if one.account == account)

    def caller(self, connection: HTTPConnection) -> Caller | None:
        """The caller by `X-Api-Key` or a bearer token; None when neither is good."""
        key = connection.headers.get("x-api-key", "")
        if key:
            return Caller(self.keys[key]) if key in self.keys else None
        bearer = bearer_of(connection)
        found = next((one.account for one in self.tokens if one.access == bearer), None)
        return Caller(found, is_oauth=True) if found else None

    def holder_of(self, key: str) -> Caller | None:
        """The caller of an API key however it came: the product-docs paths take it as bearer."""
        return Caller(self.keys[key]) if key in self.keys else None

    def code_for(self, account: str) -> str:
        """A new authorization code."""
        self._made += 1
        code = token(40, self._seed, "fathom code", self._made)
        self.codes[code] = account
        return code

    def redeem(self, code: str) -> Tokens | None:
        """Tokens for a code, which is good once; None for any other."""
        account = self.codes.pop(code, None)
        return self._new_tokens(account) if account else None

    def refresh(self, text: str) -> Tokens | None:
        """New tokens for a refresh token, which is good once; the old access token goes with it."""
        found = next((one for one in self.tokens if one.refresh == text), None)
        if found is None:
            return None
        self.tokens.remove(found)
        return self._new_tokens(found.account)

    def _new_tokens(self, account: str) -> Tokens:
        self._made += 1
        parts = (self._seed, account, "fathom", self._made)
        fresh = Tokens(account, token(43, *parts, "access"), token(43, *parts, "refresh"))
        self.tokens.append(fresh)
        return fresh

    def dump(self) -> dict[str, Any]:
        """Tokens, JSON-ready."""
        return {"made": self._made, "tokens": [asdict(one) for one in self.tokens]}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave, for the accounts there still are."""
        known = set(self.keys.values())
        self._made = state["made"]
        self.tokens = [Tokens(**one) for one in state["tokens"] if one["account"] in known]


def bearer_of(connection: HTTPConnection) -> str:
    """The bearer token of a request, empty without one."""
    kind, _, text = connection.headers.get("authorization", "").partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""
