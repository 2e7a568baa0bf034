"""Which tenants a tick syncs: due by the fleet's cadence or at a time of their own, and not synced a moment ago."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gtmc_pipelines.model.cadence import is_repeated
from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorStatus

if TYPE_CHECKING:
    from gtmc_pipelines.storage.read_models import DueConnector

A_MOMENT_AGO = timedelta(minutes=30)
SHARD_TENANTS = 500
ASK_AGAIN = timedelta(minutes=30)

UNREADABLE = (ValueError, KeyError, OSError)
"""What `latest_moment` raises for a cron or a time zone that makes no sense: croniter's errors are ValueErrors, an
unknown zone is a KeyError, one that names a folder or is endless is an OSError.
"""

Asked = Mapping[str, Sequence[str]]
"""By connector id: the cron's moment that was asked for, and when it was asked."""


def due_by_cadence(found: Iterable[DueConnector], at: datetime) -> list[str]:
    """Tenants for a tick of the fleet's schedule: those without a cron of their own, longest unsynced first.

    Left out are those whose last sync, whoever started it, ended well less than half an hour ago and
    took in every stream, and those that go on by themselves because their quota is there again.
    """
    return [
        due.tenant_id
        for due in found
        if due.schedule_cron is None and not _is_fresh(due, at) and not _goes_on_by_itself(due, at)
    ]


@dataclass(frozen=True, slots=True)
class OwnDue:
    """A connector whose own time has come at `moment` (UTC) and that has not been started since."""

    due: DueConnector
    moment: datetime


def due_by_own_time(found: Iterable[DueConnector], now: datetime, asked: Asked) -> tuple[list[OwnDue], list[str]]:
    """Connectors to start now by times of their own, and the ids of those whose cron makes no sense.

    Their times are those of their own cron and, when the last sync was deferred, the moment it was deferred to.
    However many have passed, one sync catches up. A moment that was asked for is asked for again only when half an
    hour later nothing has started.
    """
    due: list[OwnDue] = []
    senseless: list[str] = []
    for connector in found:
        moments = [] if connector.deferred_until is None else [connector.deferred_until]
        if connector.schedule_cron is not None:
            try:
                moments.append(latest_moment(connector.schedule_cron, connector.schedule_timezone, now))
            except UNREADABLE:
                senseless.append(connector.connector_id)
        moment = max(moments, default=None)
        if moment is None or (connector.last_started_at is not None and connector.last_started_at >= moment):
            continue
        if not _was_asked(asked.get(connector.connector_id), moment, now):
            due.append(OwnDue(connector, moment))
    return due, senseless


def still_asked(asked: Asked, found: Iterable[DueConnector]) -> dict[str, list[str]]:
    """What is worth remembering of `asked`: connectors that haven't started since."""
    started = {due.connector_id: due.last_started_at for due in found}
    kept = {}
    for connector_id, (moment, at) in asked.items():
        last = started.get(connector_id)
        if connector_id in started and (last is None or last < datetime.fromisoformat(moment)):
            kept[connector_id] = [moment, at]
    return kept


def latest_moment(cron: str, timezone: str, now: datetime) -> datetime:
    """The last moment (UTC) of `cron`, read in `timezone`, not after `now`. Raises what is UNREADABLE."""
    return next(moments_until(cron, timezone, now))


def moments_until(cron: str, timezone: str, now: datetime) -> Iterator[datetime]:
    """Moments (UTC) of `cron`, read in `timezone`, that are not after `now`, newest first. Raises what is UNREADABLE.

    In the night in which an hour comes twice, a cron that names its hours has them once.
    """
    from croniter import croniter

    ticks = croniter(cron, (now + timedelta(seconds=1)).astimezone(ZoneInfo(timezone)))
    for found in ticks.all_prev(datetime):
        if not is_repeated(cron, found):
            yield found.astimezone(UTC)


def shards(tenants: Sequence[str]) -> list[list[str]]:
    """`tenants` in as few lists as possible of at most 500, all of about the same length."""
    count = -(-len(tenants) // SHARD_TENANTS)
    return [list(tenants[number::count]) for number in range(count)]


def _is_fresh(due: DueConnector, at: datetime) -> bool:
    return (
        due.status is ConnectorStatus.CONNECTED
        and due.last_sync_at is not None
        and due.last_sync_at > at - A_MOMENT_AGO
        and due.last_streams >= len(STREAMS[due.type])
    )


def _goes_on_by_itself(due: DueConnector, at: datetime) -> bool:
    """Whether `due_by_own_time` has just become responsible. If it does nothing, the tick after this one is."""
    return due.deferred_until is not None and due.deferred_until > at - ASK_AGAIN


def _was_asked(before: Sequence[str] | None, moment: datetime, now: datetime) -> bool:
    if before is None or datetime.fromisoformat(before[0]) != moment:
        return False
    return now - datetime.fromisoformat(before[1]) < ASK_AGAIN
