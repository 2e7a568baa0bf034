"""Times as the sandbox keeps them (unix milliseconds, UTC) and as Salesforce spells them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 7, 1, tzinfo=UTC)
"""The fixed end of the seeded history: stamps of untouched records lie in the two years before it."""
SPAN_SECONDS = 730 * 86_400
START_SECONDS = int(EPOCH.timestamp()) - SPAN_SECONDS

_MINUTES = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440))
_SECONDS = tuple(f"{second:02d}" for second in range(60))
_DAYS: dict[int, str] = {}
_MAX_DAYS = 20_000


def day_text(day: int) -> str:
    """`2026-01-15` for a day counted from 1970-01-01."""
    text = _DAYS.get(day)
    if text is None:
        if len(_DAYS) > _MAX_DAYS:
            _DAYS.clear()
        text = _DAYS[day] = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%d")
    return text


def spelled(moments: Iterable[int | None], zone: str) -> list[str | None]:
    """`2026-01-15T09:30:00.000` + zone for each moment; None stays None."""
    texts: list[str | None] = []
    for moment in moments:
        if moment is None:
            texts.append(None)
            continue
        seconds, milliseconds = divmod(moment, 1000)
        day, second = divmod(seconds, 86_400)
        clock = _MINUTES[second // 60] + _SECONDS[second % 60]
        texts.append(f"{_DAYS.get(day) or day_text(day)}T{clock}.{milliseconds:03d}{zone}")
    return texts


def spelled_json(moment: int) -> str:
    """One moment as in JSON answers: `2026-01-15T09:30:00.000+0000`."""
    return str(spelled((moment,), "+0000")[0])


def moment_of(text: str) -> int:
    """Milliseconds of an ISO time with zone. Raises ValueError for anything else."""
    if text[-5:-4] in "+-" and text[-4:].isdigit():
        text = f"{text[:-2]}:{text[-2:]}"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone")
    return int(moment.timestamp() * 1000)
