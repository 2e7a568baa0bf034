"""Id tokens of the imitated login host: signed with RS256 by a key that is made at each start, and bent on demand."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gtmc_pipelines.sandbox.o365.people import ADMINISTRATOR, User, guid

LIFE_SECONDS = 3600
_EVERYBODY, _GUEST = "b79fbf4d-3ef9-4689-8143-76b194e85509", "10dae51f-b6af-4016-8d66-8c2a99b929b3"
"""Template ids of the roles every member, or every guest, of a directory has."""


class _Key:
    """A key pair and its name in the published set."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._public = self._private.public_key().public_numbers()
        self.kid = _encoded(_bytes(self._public.n)[:20])

    @property
    def published(self) -> dict[str, Any]:
        """As `discovery/v2.0/keys` lists it."""
        numbers = {"n": _encoded(_bytes(self._public.n)), "e": _encoded(_bytes(self._public.e))}
        return {"kty": "RSA", "use": "sig", "kid": self.kid, "x5t": self.kid, **numbers}

    def signature(self, text: str) -> str:
        """RS256 of a text."""
        return _encoded(self._private.sign(text.encode("ascii"), padding.PKCS1v15(), hashes.SHA256()))


class IdTokens:
    """Issues them for people who signed in; `keys` is what clients check them with."""

    @cached_property
    def _key(self) -> _Key:
        return _Key()

    @cached_property
    def _foreign(self) -> _Key:
        return _Key()

    @property
    def keys(self) -> list[dict[str, Any]]:
        """The published keys, an old one among them."""
        return [{**self._key.published, "kid": "retired", "x5t": "retired"}, self._key.published]

    def issue(self, user: User, org: str, seed: int, places: Mapping[str, str], bent: Mapping[str, Any] | None) -> str:
        """A token for `user`. `places`: `issuer`, `audience`, `directory`, `nonce` (may be empty).

        `bent` (the knob's parameters): `claims` to change (null takes one out), `seconds` to age it by, `alg` `none` or
        `HS256`, `key` `foreign`.
        """
        wish = bent or {}
        now = int(time.time()) - int(wish.get("seconds", 0))
        is_guest = "#EXT#" in user.principal
        roles = [ADMINISTRATOR, _EVERYBODY] if user.is_administrator else [_GUEST if is_guest else _EVERYBODY]
        claims: dict[str, Any] = {
            "aud": places["audience"],
            "iss": places["issuer"],
            "iat": now,
            "nbf": now,
            "exp": now + LIFE_SECONDS,
            "name": user.name,
            "oid": user.id,
            "preferred_username": (user.mail if is_guest else None) or user.principal,
            "sub": _encoded(guid(seed, org, "sub", user.number).encode()),
            "tid": places["directory"],
            "uti": guid(seed, org, "uti", now)[:22],
            "ver": "2.0",
            "wids": roles,
            **({"nonce": places["nonce"]} if places["nonce"] else {}),
            **({"acct": 1, "idp": f"https://sts.windows.net/{guid(seed, 'home', user.number)}/"} if is_guest else {}),
        }
        claims = {name: value for name, value in (claims | dict(wish.get("claims", {}))).items() if value is not None}
        key = self._foreign if wish.get("key") == "foreign" else self._key
        head = {"typ": "JWT", "alg": wish.get("alg", "RS256"), "kid": self._key.kid}
        signed = f"{_encoded(json.dumps(head).encode())}.{_encoded(json.dumps(claims).encode())}"
        return f"{signed}." if head["alg"] == "none" else f"{signed}.{key.signature(signed)}"


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
