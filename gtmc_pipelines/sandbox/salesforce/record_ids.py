"""Salesforce record ids: 18 characters from key prefix, org and number, and back."""

from __future__ import annotations

from collections.abc import Iterable

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_PAIRS = tuple(a + b for a in _DIGITS for b in _DIGITS)
_LIMIT = 62**5


def _mask(text: str) -> int:
    return sum(1 << place for place, letter in enumerate(text) if letter.isascii() and letter.isupper())


_PAIR_MASKS = tuple(_mask(pair) for pair in _PAIRS)


class IdCodec:
    """Ids of one object of one org. Ids sort as their numbers do. Numbers reach 916 million."""

    def __init__(self, prefix: str, org_code: str) -> None:
        self._head = f"{prefix}{org_code}000"
        if len(self._head) != 10:
            raise ValueError("a prefix has three characters and an org code four")
        self._checks = _CHECK[_mask(self._head[:5])] + _CHECK[_mask(self._head[5:])]

    def encode(self, numbers: Iterable[int]) -> list[str]:
        """The 18-character ids of record numbers."""
        head, checks, pairs, masks = self._head, self._checks, _PAIRS, _PAIR_MASKS
        ids = []
        for number in numbers:
            high, low = divmod(number, 3844)
            top, middle = divmod(high, 3844)
            bits = (top in _UPPER) | masks[middle] << 1 | masks[low] << 3
            ids.append(f"{head}{_DIGITS[top]}{pairs[middle]}{pairs[low]}{checks}{_CHECK[bits]}")
        return ids

    def one(self, number: int) -> str:
        """The id of one record."""
        return self.encode((number,))[0]

    def decode(self, text: str) -> int | None:
        """The number behind a 15 or 18-character id, or None when it is not an id of this object and org."""
        if len(text) not in (15, 18) or not text.startswith(self._head):
            return None
        number = 0
        for letter in text[10:15]:
            if letter not in _VALUE:
                return None
            number = number * 62 + _VALUE[letter]
        return number


_UPPER = frozenset(range(10, 36))
