"""Keyed hashes of people: they tell whether somebody was erased, and nothing of who that was."""

from __future__ import annotations

import hmac
import os

KEY_BYTES = 32


def new_key_hex() -> str:
    """A fresh key from the operating system, in hex."""
    return os.urandom(KEY_BYTES).hex()


class Pseudonyms:
    """HMAC-SHA256 under one tenant's key. Without the key a hash can't be tried against a list of addresses."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "Pseudonyms()"

    def of_email(self, address: str) -> bytes:
        """Hash of an address; upper and lower case, and blanks around it, make no difference."""
        return self._of("email", address.strip().lower())

    def of_external_id(self, source: str, external_id: str) -> bytes:
        """Hash of a vendor's id of a person: the same id at another vendor is another person."""
        return self._of("external_id", source, external_id)

    def _of(self, *parts: str) -> bytes:
        return hmac.digest(self._key, "\0".join(parts).encode("utf-8", "replace"), "sha256")
