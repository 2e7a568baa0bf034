"""A connector's own schedule: a cron of five fields in a time zone, never more often than every five minutes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

from gtmc_pipelines.model.errors import Misuse

FLOOR_MINUTES = 5
DEFAULT_CRON = "0 */4 * * *"
"""The cadence of connectors without a schedule of their own."""

_FIELD = re.compile(r"(?![RrHh](?:$|/))[0-9A-Za-z*/,\-#]{1,100}")  # R and H would be drawn anew each time
_EXAMPLE = "Write five fields, for example '0 */2 * * *' for every two hours or '30 6 * * mon-fri'."


def next_times(cron: str, timezone: str, now: datetime, count: int = 5) -> list[datetime]:
    """The next `count` moments of a schedule, in its time zone.

    Raises Misuse `bad_cron`, `unknown_timezone` or `too_often` (ticks less than five minutes apart).
    """
    from croniter import CroniterError, croniter

    zone = _zone(timezone)
    fields = cron.split()
    if len(fields) != 5 or not all(_FIELD.fullmatch(field) for field in fields):
        raise Misuse("bad_cron", f"{cron[:80]!r} is no cron expression.", next_step=_EXAMPLE)
    try:
        minutes, hours = croniter.expand(" ".join(fields))[0][:2]
        _refuse_too_often(minutes, hours)
        ticks = croniter(" ".join(fields), now.astimezone(zone))
        moments = list(islice((at for at in ticks.all_next(datetime) if not is_repeated(cron, at)), count))
    except (CroniterError, ValueError):
        raise Misuse(
            "bad_cron", f"{cron[:80]!r} makes no sense as a cron, or never comes.", next_step=_EXAMPLE
        ) from None
    return moments


def is_repeated(cron: str, moment: datetime) -> bool:
    """Whether a cron that names its hours has had this moment before, in the night in which an hour comes twice."""
    hours = cron.split()[1:2]  # an alias as @daily, which we refuse but others may have stored, has no fields
    names_hours = not hours[0].startswith("*") if hours else cron != "@hourly"
    return names_hours and bool(moment.fold) and moment.utcoffset() != moment.replace(fold=0).utcoffset()


def _zone(name: str) -> ZoneInfo:
    if name not in available_timezones():
        near = get_close_matches(name, available_timezones(), n=3, cutoff=0.6)
        raise Misuse(
            "unknown_timezone",
            f"There is no time zone {name[:80]!r}.",
            next_step=f"Did you mean {' or '.join(near)}?" if near else "Write it like Europe/Berlin or UTC.",
        )
    return ZoneInfo(name)


def _refuse_too_often(minutes: Sequence[int | str], hours: Sequence[int | str]) -> None:
    """Ticks of one hour must be far enough apart, and the last of an hour from the first of the next."""
    at = sorted(range(60) if "*" in minutes else [int(minute) for minute in minutes])
    in_hours = set(range(24) if "*" in hours else [int(hour) for hour in hours])
    gaps = [after - before for before, after in pairwise(at)]
    if any((hour + 1) % 24 in in_hours for hour in in_hours):
        gaps.append(at[0] + 60 - at[-1])
    if gaps and min(gaps) < FLOOR_MINUTES:
        raise Misuse(
            "too_often",
            f"This schedule has moments {min(gaps)} minute{'s' * (min(gaps) > 1)} apart; {FLOOR_MINUTES} is the least.",
            next_step="Every five minutes is '*/5 * * * *'.",
        )
