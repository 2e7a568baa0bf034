"""Attacks on the proof of a directory: id tokens of another directory, another app, another key, or none at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gtmc_pipelines.connectors.o365.id_token import checked
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage

_LOGIN, _APP, _NONCE = "https://login.microsoftonline.com", "11111111-0000-0000-0000-00000000000a", "n" * 43
_OWN, _RIVAL = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
_WRONG: dict[str, tuple[Any, ...]] = {
    "aud": ("another", [_APP, "another"], [], "", None, _APP.upper() + " "),
    "iss": (
        f"{_LOGIN}/{_RIVAL}/v2.0",
        f"https://evil.example/{_OWN}/v2.0",
        f"{_LOGIN}/{_OWN}/v2.0/",
        f"{_LOGIN}/{_OWN}",
        None,
        5,
    ),
    "tid": (_RIVAL, "organizations", "common", "", f"{_OWN}\n", [_OWN], None, 5, {"a": 1}),
    "nonce": ("m" * 43, "", None, 5, [_NONCE], _NONCE + " "),
    "exp": (0, -1, "x", None, 1_000_000_000),
    "nbf": (4_000_000_000, "x"),
    "iat": (4_000_000_000, None, "x"),
    "sub": (None,),
    "oid": (None,),
}


class TokenAttack:
    """Presents a token that must not be believed, made from one that would be."""

    def __init__(self) -> None:
        self._key, self._foreign = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._keys = {"keys": [{**public, "kid": "k1", "use": "sig"}]}
        self._good = self._signed(self._claims())

    def attempt(self, dice: Random) -> Tried:
        """One token."""
        forms: tuple[Callable[[Random], str], ...] = (
            *(self._wrong_claim, self._foreign_key, self._no_signature, self._shared_secret, self._key_brought_along),
            *(self._flipped, self._mixed, self._cut),
        )
        form = dice.choice(forms)
        name = form.__name__.strip("_").replace("_", " ")
        if self._directory_of(self._good) != _OWN:
            return Tried(name, "the genuine token is refused")  # else nothing would be proven
        token = form(dice)
        return Tried(name, "it is believed" if token != self._good and self._directory_of(token) == _OWN else None)

    def aftermath(self) -> list[str]:
        """None: who is believed is seen at once."""
        return []

    def _directory_of(self, token: str) -> str:
        """The directory a token is believed to prove; a genuine one of the rival's proves the rival's."""
        try:
            return checked(token, self._keys, login_url=_LOGIN, audience=_APP, nonce=_NONCE).directory
        except GtmcError:
            return ""

    def _claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims = {"aud": _APP, "iss": f"{_LOGIN}/{_OWN}/v2.0", "tid": _OWN, "nonce": _NONCE, "sub": "s", "oid": "o"}
        times = {"iat": now, "nbf": now, "exp": now + 3600, "wids": [], "preferred_username": "ada@acme.example"}
        return {name: value for name, value in {**claims, **times, **changes}.items() if value is not None}

    def _signed(self, claims: dict[str, Any], key: Any = None, **head: Any) -> str:
        algorithm = head.pop("alg", "RS256")
        return jwt.encode(claims, key or self._key, algorithm=algorithm, headers={"kid": "k1", **head})

    def _wrong_claim(self, dice: Random) -> str:
        chosen = dice.sample(sorted(_WRONG), dice.choice((1, 1, 2)))
        claims = {**self._claims(), **{name: dice.choice(_WRONG[name]) for name in chosen}}
        head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"k1"}').rstrip(b"=").decode()
        kept = {name: value for name, value in claims.items() if value is not None}
        try:
            return self._signed(kept)
        except TypeError:  # the library refuses to sign such a claim
            return f"{head}.e30.e30"

    def _foreign_key(self, dice: Random) -> str:
        return self._signed(self._claims(), self._foreign, kid=dice.choice(("k1", "k2", "", "../k1")))

    def _no_signature(self, dice: Random) -> str:
        name = dice.choice(("none", "None", "NONE", ""))
        head = base64.urlsafe_b64encode(f'{{"alg":"{name}","kid":"k1"}}'.encode()).rstrip(b"=").decode()
        return f"{head}.{self._good.split('.')[1]}.{dice.choice(('', self._good.split('.')[2]))}"

    def _shared_secret(self, dice: Random) -> str:
        """The public key as the secret of an HMAC, which a careless library would accept."""
        public = self._key.public_key()
        secrets = (public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), b"", b"s" * 32)
        head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"k1"}').rstrip(b"=")
        signed = head + b"." + self._good.split(".")[1].encode()
        mac = hmac.digest(dice.choice(secrets), signed, hashlib.sha256)
        return f"{signed.decode()}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    def _key_brought_along(self, dice: Random) -> str:
        brought = jwt.algorithms.RSAAlgorithm.to_jwk(self._foreign.public_key(), as_dict=True)
        head = dice.choice(({"jwk": brought}, {"jku": "https://evil.example/keys"}, {"x5u": "https://evil.example/"}))
        return self._signed(self._claims(), self._foreign, **head)

    def _flipped(self, dice: Random) -> str:
        parts = self._good.split(".")
        at = dice.randrange(3)
        raw = bytearray(base64.urlsafe_b64decode(parts[at] + "=="))
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
        parts[at] = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
        return ".".join(parts)

    def _mixed(self, dice: Random) -> str:
        other = self._signed(self._claims(tid=_RIVAL, iss=f"{_LOGIN}/{_RIVAL}/v2.0")).split(".")
        mine = self._good.split(".")
        return f"{mine[0]}.{other[1]}.{dice.choice((mine[2], other[2]))}"

    def _cut(self, dice: Random) -> str:
        end = dice.randrange(len(self._good) - 1)
        return dice.choice((self._good[:end], self._good[end + 1 :], f"{self._good}.x", f"{self._good}.{self._good}"))


@contextmanager
def _opened(_stage: Stage) -> Iterator[TokenAttack]:
    yield TokenAttack()


KIND = Kind("tokens", "a directory is believed without its own administrator's word", 3_000, 100, _opened)
