"""Salesforce's record ids: 15 characters where case counts, 18 where it doesn't, one record either way.

The last three of the long form say which of the fifteen are capitals, so that it survives a program that
changes case (Salesforce help 000385585).
"""

from __future__ import annotations

import re

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def id18(text: str) -> str | None:
    """The 18-character form of an id of 15 or 18 characters; None for anything else. Idempotent.

    A long one all in one case gets its own back; any other whose ending says otherwise is none.
    """
    found = _ID.fullmatch(text.strip())
    if not found:
        return None
    short, ending = found[0][:15], found[0][15:].upper()
    if ending and short in (short.lower(), short.upper()):
        if any(digit not in _DIGITS for digit in ending):
            return None
        short = "".join(_cased(character, ending, place) for place, character in enumerate(short))
    return short + _ending(short) if not ending or _ending(short) == ending else None


def _cased(character: str, ending: str, place: int) -> str:
    is_capital = _DIGITS.index(ending[place // 5]) >> place % 5 & 1
    return character.upper() if is_capital else character.lower()


def _ending(short: str) -> str:
    chunks = (short[start : start + 5] for start in (0, 5, 10))
    return "".join(
        _DIGITS[sum(1 << place for place, character in enumerate(chunk) if "A" <= character <= "Z")] for chunk in chunks
    )
