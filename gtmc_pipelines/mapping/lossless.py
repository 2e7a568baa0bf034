"""Values on their way into an expression and back, without losing a digit or growing without bound.

Expressions count in doubles and 64-bit integers. A number those can't hold exactly goes in as text,
so it passes through whole, and arithmetic on it fails instead of rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

_INT64 = 2**63


class TooMuch(ValueError):
    """The value is larger than expressions may handle."""


@dataclass(slots=True)
class Budget:
    """What one evaluation may still take in: characters of text, and elements of a list."""

    characters: int
    list_length: int

    def spend(self, characters: int) -> None:
        """Take from the budget. Raises TooMuch when it is gone."""
        self.characters -= characters
        if self.characters < 0:
            raise TooMuch("too much text")


def for_expression(value: Any, budget: Budget | None = None) -> Any:
    """The form an expression sees. Raises TooMuch when the budget doesn't hold it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if budget is not None:
            budget.spend(len(value))
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else str(value)
    if isinstance(value, Decimal):
        return _double_or_text(value)
    if budget is not None:
        budget.spend(16 * len(value))
        if isinstance(value, list) and len(value) > budget.list_length:
            raise TooMuch("list too long")
    if isinstance(value, list):
        return [for_expression(item, budget) for item in value]
    return {key: for_expression(item, budget) for key, item in value.items()}


def size_of(value: Any) -> int:
    """What a value takes of a budget: characters of its texts, and 16 for each element of a list or map."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return 16 * len(value) + sum(map(size_of, value))
    if isinstance(value, dict):
        return 16 * len(value) + sum(map(size_of, value)) + sum(map(size_of, value.values()))
    return 0


def _double_or_text(value: Decimal) -> float | str:
    try:
        double = float(value)
    except OverflowError:
        return str(value)
    return double if Decimal(repr(double)) == value else str(value)


def from_expression(value: Any, budget: Budget) -> Any:
    """The result as coercions take it: doubles as Decimal, times as ISO text.

    Raises TooMuch when it is larger than the budget, TypeError for what no column can hold.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        budget.spend(len(value))
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        budget.spend(16 * len(value))
        return [from_expression(item, budget) for item in value]
    if isinstance(value, dict):
        budget.spend(16 * len(value))
        # The language's maps have no order of their own; the same row must have the same text every time.
        return {key: from_expression(value[key], budget) for key in sorted(_keys(value, budget))}
    raise TypeError("no column holds such a value")


def _keys(value: dict[Any, Any], budget: Budget) -> Iterator[str]:
    for key in value:
        if not isinstance(key, str):
            raise TypeError("keys must be text")
        budget.spend(len(key))
        yield key
