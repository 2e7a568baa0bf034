"""Repeatable randomness: the same key and index always give the same 64-bit roll, on any machine."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_STIR = 0xBF58476D1CE4E5B9


def key_of(*parts: object) -> int:
    """A 64-bit key for a name, for example `key_of(7, "acme", "people")`."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def roll(key: int, index: int) -> int:
    """The roll of one index: 64 well-mixed bits; take what you need by shift and modulo."""
    mixed = (index * _STEP + key) & _MASK
    mixed = ((mixed ^ (mixed >> 29)) * _STIR) & _MASK
    return mixed ^ (mixed >> 32)


def rolls(key: int, indices: Iterable[int]) -> list[int]:
    """`roll` for many indices, without a function call each."""
    mixed = [(index * _STEP + key) & _MASK for index in indices]
    mixed = [((number ^ (number >> 29)) * _STIR) & _MASK for number in mixed]
    return [number ^ (number >> 32) for number in mixed]


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def token(length: int, *parts: object) -> str:
    """A repeatable text of letters and digits that looks like a vendor's secret; worth nothing elsewhere."""
    size = min(64, max(1, length))
    digest = blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=size).digest()
    letters = [_LETTERS[byte % 62] for byte in digest]
    while len(letters) < length:
        letters += letters
    return "".join(letters[:length])
