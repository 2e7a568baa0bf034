"""Dotted paths into a record: `Owner.Name`, `invitees.0.email`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def dig(value: Any, steps: Sequence[str]) -> Any:
    """The value behind `steps` (keys of objects, positions of lists), None where one is missing."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 6:
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value
