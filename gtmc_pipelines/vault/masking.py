"""Masks for personal data in previews: enough left to recognise a row, not enough to contact anybody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

BLOT = "•••"

EMAIL = re.compile(r"[\w.+%'-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_PHONE = re.compile(r"\+?\(?\d[\d ()/.-]{5,24}\d")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

_NAME_COLUMNS = frozenset({"first_name", "last_name"})
_FREE_TEXT_COLUMNS = frozenset({"participants", "transcript", "summary"})

PERSONAL_COLUMNS = _NAME_COLUMNS | _FREE_TEXT_COLUMNS | {"email", "phone", "person_email", "recorded_by_email"}
"""Canonical columns whose whole value is about a person."""


def mask_email(address: str) -> str:
    """`kim@example.com` becomes `k•••@e•••.com`; what is no address is blotted out."""
    local, at, domain = address.partition("@")
    host, dot, ending = domain.rpartition(".")
    if not (local and at and host and dot):
        return BLOT
    return f"{local[0]}{BLOT}@{host[0]}{BLOT}.{ending}"


def mask_name(name: str) -> str:
    """`Kim Berg` becomes `K••• B•••`."""
    return " ".join(word[0] + BLOT for word in name.split())


def mask_personal(text: str) -> str:
    """Mask every e-mail address and phone number inside `text`; dates stay readable."""
    masked = EMAIL.sub(lambda match: mask_email(match.group()), text)
    return _PHONE.sub(lambda match: _mask_phone(match.group()), masked)


def mask_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A canonical row fit for a preview: personal columns masked whole, addresses anywhere else too."""
    return {column: _mask_cell(column, value) for column, value in row.items()}


def _mask_cell(column: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if column in _FREE_TEXT_COLUMNS:
        return BLOT
    if column in _NAME_COLUMNS:
        return mask_name(text)
    if column == "phone":
        return _mask_phone(text)
    return mask_email(text) if column in PERSONAL_COLUMNS else mask_personal(text)


def _mask_phone(number: str) -> str:
    if _ISO_DATE.match(number):
        return number
    return f"{BLOT}{number[-2:]}" if len(number) > 2 else BLOT
