"""Where each stream stands: the checkpoint of an unfinished read and the watermark of the last complete one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.storage.statements import Handle, Row, row, rows, run

_COLUMNS = "stream, slice, cursor AS checkpoint, mode, until, watermark, generation, sync_log_id, updated_at"
_PUT = """
INSERT INTO stream_cursors (tenant_id, connector_id, stream, slice, cursor, mode, until, watermark, generation,
                            sync_log_id)
VALUES (%(tenant_id)s, %(connector_id)s, %(stream)s, %(slice)s, %(checkpoint)s, %(mode)s, %(until)s, %(watermark)s,
        %(generation)s, %(sync_log_id)s)
ON CONFLICT (tenant_id, connector_id, stream, slice) DO UPDATE
   SET cursor = excluded.cursor, mode = excluded.mode, until = excluded.until, watermark = excluded.watermark,
       generation = excluded.generation, sync_log_id = excluded.sync_log_id, updated_at = now()
"""


CALCULATED = "~calculated"
"""No slice of the vendor: the cursor of the daily look at a stream's calculated fields."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """State of a stream (or slice).

    `checkpoint`, `mode` and `until` belong to an unfinished read and are None when there is none;
    `watermark` is where the next incremental sync starts; `generation` counts full syncs begun.
    """

    stream: str
    slice: str = ""
    checkpoint: str | None = None
    mode: SyncMode | None = None
    until: datetime | None = None
    watermark: str | None = None
    generation: int = 0
    sync_log_id: str | None = None
    updated_at: datetime | None = None

    @property
    def is_unfinished(self) -> bool:
        """True when a read stopped on the way and can go on from its checkpoint."""
        return self.checkpoint is not None


def get_state(handle: Handle, tenant_id: str, connector_id: str, stream: str, slice: str = "") -> StreamState:
    """The stored state; an empty one for a stream never read."""
    found = row(
        handle,
        f"SELECT {_COLUMNS} FROM stream_cursors WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"  # noqa: S608 - constants only
        " AND stream = %(stream)s AND slice = %(slice)s",
        {"tenant_id": tenant_id, "connector_id": connector_id, "stream": stream, "slice": slice},
    )
    return StreamState(stream, slice) if found is None else _state(found)


def list_states(handle: Handle, tenant_id: str, connector_id: str) -> list[StreamState]:
    """All stored states of a connector, by stream and slice."""
    found = rows(
        handle,
        f"SELECT {_COLUMNS} FROM stream_cursors WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"  # noqa: S608 - constants only
        " ORDER BY stream, slice",
        {"tenant_id": tenant_id, "connector_id": connector_id},
    )
    return [_state(values) for values in found]


def put_state(handle: Handle, tenant_id: str, connector_id: str, state: StreamState) -> None:
    """Store a state in the caller's transaction: the one that writes the page it belongs to."""
    run(
        handle,
        _PUT,
        {
            "tenant_id": tenant_id,
            "connector_id": connector_id,
            "stream": state.stream,
            "slice": state.slice,
            "checkpoint": state.checkpoint,
            "mode": None if state.mode is None else state.mode.value,
            "until": state.until,
            "watermark": state.watermark,
            "generation": state.generation,
            "sync_log_id": state.sync_log_id,
        },
    )


def note_full_read(
    handle: Handle, tenant_id: str, connector_id: str, state: StreamState, since: datetime | None
) -> None:
    """A full read of this slice is complete and can be swept by: its generation, and how far back it went."""
    run(
        handle,
        """
        UPDATE stream_cursors SET full_generation = %(generation)s, full_since = %(since)s, sweep_refused_in = NULL
         WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s AND slice = %(slice)s
        """,
        {
            "tenant": tenant_id,
            "connector": connector_id,
            "stream": state.stream,
            "slice": state.slice,
            "generation": state.generation,
            "since": since,
        },
    )


def _state(values: Row) -> StreamState:
    return StreamState(**values | {"mode": None if values["mode"] is None else SyncMode(values["mode"])})
