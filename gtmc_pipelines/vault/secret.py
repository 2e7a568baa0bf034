"""A secret is a type of its own, whose text form is dots."""

from __future__ import annotations

import hmac

DOTS = "••••••••"


class Secret:
    """Holds a token, key or password; only `reveal()` gives it, and only where it is sent or sealed.

    `str`, `repr`, f-strings and `%s` all give dots; it can't be pickled, so it never reaches a
    workflow history or a run config by accident. Comparison is constant-time.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __str__(self) -> str:
        return DOTS

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(DOTS, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret can't be serialized; seal it (vault.envelope) or reveal it on purpose")
