"""What a sync costs at the vendor: written to its log as it goes on, and kept within the connector's share of the day.

A worker that is killed loses at most some seconds of the count; segments and attempts add up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gtmc_pipelines.connectors.contract import Session
from gtmc_pipelines.connectors.quota import DAILY_QUOTA_PERCENT, percent_of
from gtmc_pipelines.connectors.registry import options_of
from gtmc_pipelines.model.errors import Defer
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_logs import Used, add_usage, used_since

_DAY = timedelta(hours=24)
_WRITTEN_EVERY_SECONDS = 5.0


class UsageMeter:
    """The usage of one segment. The reading thread hands over its session, the writing one calls the rest."""

    def __init__(
        self, database: Database, row: ConnectorRow, sync_log_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._row = row
        self._sync_log_id = sync_log_id
        self._clock = clock
        self._session: Session | None = None
        self._written = 0
        self._due_at = 0.0
        self._has_share = DAILY_QUOTA_PERCENT in options_of(row.type)

    def watch(self, session: Session) -> None:
        """The session whose requests are counted."""
        self._session = session

    def note(self) -> None:
        """Write the count every few seconds. Raises Defer `quota_share_used` when the connector's share is used up."""
        if self._clock() >= self._due_at:
            self._due_at = self._clock() + _WRITTEN_EVERY_SECONDS
            self.write()
            self.keep_to_share()

    def write(self) -> None:
        """Write what was counted since the last time."""
        usage = dict(self._session.usage) if self._session else {}
        requests = usage.pop("requests", 0)
        if requests == self._written:
            return
        with self._database.tenant(self._row.tenant_id) as handle:
            add_usage(handle, self._row.tenant_id, self._sync_log_id, requests - self._written, usage)
        self._written = requests

    def keep_to_share(self) -> None:
        """Raises Defer `quota_share_used` with the moment enough earlier requests are a day old."""
        if not self._has_share:
            return
        now = datetime.now(UTC)
        with self._database.tenant(self._row.tenant_id) as handle:
            used = used_since(handle, self._row.tenant_id, self._row.id, now - _DAY)
        percent = percent_of(self._row.options)
        until = over_share(used, percent)
        if until is None:
            return
        made, limit = sum(each.requests for each in used), _limit_of(used) or 0
        raise Defer(
            "quota_share_used",
            f"Syncs of this connector have made {made:,} requests in 24 hours, more than the {percent} % of "
            f"{self._row.type.label}'s daily {limit:,} that they may use; the rest is left to the customer.",
            until=until,
            next_step=f"It goes on by itself soon after {until:%Y-%m-%d %H:%M} UTC. To let it use more, "
            f"raise the connector's option {DAILY_QUOTA_PERCENT.name}: gtmc connectors export, edit, apply.",
        )


def over_share(used: list[Used], percent: int) -> datetime | None:
    """When these syncs (oldest first) will be within their share again; None when they are."""
    limit = _limit_of(used)
    if not limit:
        return None
    allowed = limit * percent // 100
    total = sum(each.requests for each in used)
    if total <= allowed:
        return None
    for each in used:
        total -= each.requests
        if total <= allowed:
            return each.started_at + _DAY
    return used[-1].started_at + _DAY


def _limit_of(used: list[Used]) -> int | None:
    """The vendor's limit as it was told last."""
    return next((each.api_limit for each in reversed(used) if each.api_limit), None)
