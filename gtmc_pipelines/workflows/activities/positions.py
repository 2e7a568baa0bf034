"""Positions: where each read of a sync starts, from what is stored about its streams."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.model.catalog import CALCULATED_AS_OF, DeleteDetection, Stream
from gtmc_pipelines.model.phases import FullBecause, SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom
from gtmc_pipelines.storage import cursors, sweep
from gtmc_pipelines.storage.cursors import StreamState
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.inputs import SyncPlan, SyncRequest


@dataclass(frozen=True, slots=True)
class Start:
    """One read: from where, up to when, and the generation its sweep goes by (0: nothing will be swept)."""

    read: ReadFrom
    generation: int = 0


class Positions:
    """Starts for the reads of one sync. Used by the reading thread, each stream (or slice) once a segment."""

    def __init__(self, database: Database, request: SyncRequest, plan: SyncPlan, until: datetime) -> None:
        self._database = database
        self._request = request
        self._plan = plan
        self._until = until

    def start_of(self, stream: Stream, part: str) -> Start | None:
        """Where to begin; None when this sync has read the stream (or slice) already.

        An unfinished read goes on at its checkpoint with its own mode and upper bound, unless it was
        incremental and a full one is wanted now. A stream never read to its end is read in full.
        """
        tenant, connector = self._request.tenant_id, self._request.connector_id
        with self._database.tenant(tenant) as handle:
            state = cursors.get_state(handle, tenant, connector, stream.name, part)
            if not state.is_unfinished and state.sync_log_id == self._plan.sync_log_id:
                return None
            if state.mode is not None and state.until is not None and resumes(state, self._plan.mode):
                return Start(
                    ReadFrom(state.mode, state.until, state.watermark, state.checkpoint, part), state.generation
                )
            is_full = self._plan.mode is SyncMode.FULL or state.watermark is None
            is_swept = is_full and stream.deletes is not DeleteDetection.NONE
            generation = sweep.new_generation(handle) if is_swept else 0
        mode = SyncMode.FULL if is_full else SyncMode.INCREMENTAL
        return Start(ReadFrom(mode, self._until, None if is_full else state.watermark, slice=part), generation)

    def after(self, start: Start, last: Page) -> Start | None:
        """The second read of a stream whose first one had been begun by an earlier sync: what changed since then."""
        if start.read.until >= self._until or last.watermark is None:
            return None
        return Start(ReadFrom(SyncMode.INCREMENTAL, self._until, last.watermark, slice=start.read.slice))


def resumes(state: StreamState, wanted: SyncMode) -> bool:
    """Whether an unfinished read is gone on with: a full sync doesn't settle for an incremental rest."""
    return state.is_unfinished and not (wanted is SyncMode.FULL and state.mode is not SyncMode.FULL)


def mode_of(
    wanted: SyncMode, streams: Iterable[Stream], states: Iterable[StreamState]
) -> tuple[SyncMode, FullBecause | None]:
    """Full when asked for, when nothing was ever read to its end, or when a full read is unfinished; and which of
    the latter two, when it wasn't asked for.
    """
    if wanted is SyncMode.FULL:
        return SyncMode.FULL, None
    of_ours = [state for state in states if state.stream in {stream.name for stream in streams}]
    if any(state.is_unfinished and state.mode is SyncMode.FULL for state in of_ours):
        return SyncMode.FULL, FullBecause.UNFINISHED_FULL_READ
    if not any(state.watermark is not None for state in of_ours):
        return SyncMode.FULL, FullBecause.FIRST_SYNC
    return SyncMode.INCREMENTAL, None


def cursor_text(states: Iterable[StreamState]) -> str:
    """`last_sync_cursor`: watermark by stream as JSON; slices (mailboxes) are only counted."""
    marks: dict[str, str | int | None] = {}
    for state in states:
        if state.slice == cursors.CALCULATED:
            marks[f"{state.stream}{CALCULATED_AS_OF}"] = state.watermark
        elif state.slice:
            marks[state.stream] = int(marks.get(state.stream) or 0) + 1
        else:
            marks[state.stream] = state.watermark
    return json.dumps(marks, separators=(",", ":"))
