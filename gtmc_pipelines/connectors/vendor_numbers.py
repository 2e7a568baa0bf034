"""Numbers a vendor sends (waits, counts, limits, lives of tokens), read in one place and bounded there.

A vendor may send anything: words, digits of other scripts, negative, endless or astronomic ones. What is no number
of its kind is None, as if it hadn't been sent; a wait that is too long is the longest there is.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT_SECONDS = 24 * 3600.0
"""No vendor keeps a sync waiting for longer; then it is asked again."""

MOST_COUNT = 10**15
"""No vendor has more of anything; what is larger would not fit a database's column either."""

LONGEST_TOKEN_SECONDS = 24 * 3600
"""A token is never taken to live longer, whatever its vendor promises."""

_SHORTEST_TOKEN_SECONDS = 60
_USUAL_TOKEN_SECONDS = 600
_SECONDS = re.compile(r"[0-9]{1,400}(?:\.[0-9]{0,40})?(?:[eE]\+?[0-9]{1,3})?")
_WHOLE = re.compile(r"[0-9]{1,16}")


def wait_seconds(text: str | None, now: datetime) -> float | None:
    """Seconds to wait by a header that holds seconds or an HTTP date: 0 to LONGEST_WAIT_SECONDS; None when unusable.

    A date has whole seconds, so a second is added: never before the stated time.
    """
    stated = (text or "").strip()
    if not stated or not stated.isascii() or len(stated) > 500:
        return None
    if _SECONDS.fullmatch(stated):
        seconds = float(stated)
        return min(seconds, LONGEST_WAIT_SECONDS) if math.isfinite(seconds) else None
    return _seconds_until(stated, now)


def seconds_left(text: str | None, most: float) -> float | None:
    """Seconds by a header that holds nothing else; None when it is no such number, or more than `most`."""
    stated = (text or "").strip()
    seconds = float(stated) if _SECONDS.fullmatch(stated) else math.inf
    return seconds if seconds <= most else None


def count_of(value: object) -> int | None:
    """A count from 0 to MOST_COUNT, given as a whole number or as its ASCII digits; None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MOST_COUNT else None


def token_seconds(value: object) -> int:
    """How long a token is taken to live: what was promised, from a minute to LONGEST_TOKEN_SECONDS.

    Without a usable promise (a word, zero, a negative or endless number) it is ten minutes: then it is asked for again.
    """
    if isinstance(value, str):
        value = float(value) if _SECONDS.fullmatch(value.strip()) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        return _USUAL_TOKEN_SECONDS
    return int(min(max(value, _SHORTEST_TOKEN_SECONDS), LONGEST_TOKEN_SECONDS))


def _seconds_until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - now).total_seconds() + 1.0
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS)
