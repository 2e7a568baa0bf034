"""Calculated fields, refreshed once a day: what no change time tells of is looked at, and only what differs is read.

It is a read of its own behind the stream's, with a cursor of its own (`CALCULATED`), fence and counts like any other.
After a full read there is nothing to look at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from gtmc_pipelines.connectors.contract import Connector, DescribesFields, Differing
from gtmc_pipelines.mapping.compile import CompiledMapping
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord
from gtmc_pipelines.storage import cursors
from gtmc_pipelines.storage.cursors import CALCULATED, StreamState
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.kept_values import differing_ids
from gtmc_pipelines.workflows.activities.coalesce import coalesce
from gtmc_pipelines.workflows.activities.positions import Start
from gtmc_pipelines.workflows.inputs import SyncPlan, SyncRequest

AFTER = timedelta(hours=23)
"""A day, less what a daily schedule may be early."""


class Recalculation:
    """The daily look at one connector's calculated fields. Used by the reading thread."""

    def __init__(
        self, database: Database, request: SyncRequest, plan: SyncPlan, connector: Connector, session: Any
    ) -> None:
        self._database = database
        self._request = request
        self._plan = plan
        self._connector = connector
        self._session = session

    def pages(self, stream: Stream, mappers: Sequence[CompiledMapping]) -> Iterator[tuple[Page, Start]]:
        """Pages to write behind those of the stream; none when no mapped field is calculated, or it isn't time."""
        if not isinstance(self._connector, DescribesFields):
            return
        start, is_fresh = self._start(stream)
        if start is None:
            return
        tops = {path.partition(".")[0] for mapper in mappers for path in mapper.reads}
        shown = self._connector.shown_fields(self._session, stream)
        names = sorted(name for name, is_calculated in shown.items() if is_calculated and name in tops)
        if not names:
            return
        if is_fresh:
            yield Page([], None, start.read.until.isoformat(), fields=frozenset(shown)), start
            return
        read = self._connector.recalculated(self._session, stream, names, start.read, self._differing(stream, names))
        for page in coalesce(read):
            yield page, start

    def _start(self, stream: Stream) -> tuple[Start | None, bool]:
        """Where to begin, None when it isn't time; and whether a full read has just brought everything."""
        tenant, connector = self._request.tenant_id, self._request.connector_id
        with self._database.tenant(tenant) as handle:
            state = cursors.get_state(handle, tenant, connector, stream.name, CALCULATED)
        until = self._plan.until
        if until is None or (not state.is_unfinished and state.sync_log_id == self._plan.sync_log_id):
            return None, False
        if self._plan.mode is SyncMode.FULL:
            return Start(ReadFrom(SyncMode.INCREMENTAL, until, slice=CALCULATED)), True
        if state.is_unfinished and state.until is not None:
            return Start(ReadFrom(SyncMode.INCREMENTAL, state.until, None, state.checkpoint, CALCULATED)), False
        if _age(state, until) < AFTER:
            return None, False
        return Start(ReadFrom(SyncMode.INCREMENTAL, until, slice=CALCULATED)), False

    def _differing(self, stream: Stream, names: Sequence[str]) -> Differing:
        def differing(records: Sequence[SourceRecord]) -> Collection[str]:
            return differing_ids(self._database, self._request.tenant_id, stream, records, names)

        return differing


def _age(state: StreamState, until: datetime) -> timedelta:
    """How long ago the fields were looked at; for ever when they never were."""
    moment = None if state.watermark is None else datetime.fromisoformat(state.watermark)
    return timedelta.max if moment is None else until - moment
