"""By which full reads a stream may be swept: one for each slice that was read to its end, and who is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg import sql

from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run

GRACE = timedelta(days=7)
"""How long a slice (a mailbox) must have been absent from the vendor's list before its records count as gone."""

SLICE_GONE = "slice_gone"
"""`deleted_reason` of records whose slice is gone."""


@dataclass(frozen=True, slots=True)
class Part:
    """Records of `slice` are compared with the full read of `generation`, as far back as `since` (None: all).

    The slice "" stands for records that more than one slice may hold, or of which no slice is known, and in a
    stream of one slice for all. When it `is_gone` no read is needed: the slice itself is no longer there.
    """

    slice: str
    generation: int = 0
    since: datetime | None = None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What one sweep goes by."""

    all: tuple[Part, ...] = ()

    @property
    def without_gone(self) -> Parts:
        """Those that were read."""
        return Parts(tuple(part for part in self.all if not part.is_gone))

    @property
    def generation(self) -> int:
        """The newest of their full reads; 0 when there is none."""
        return max((part.generation for part in self.all), default=0)


def note_listed(handle: Handle, target: BatchTarget, listed: Sequence[str]) -> None:
    """Remember since when slices that were read once are not listed any more. An empty list says nothing."""
    if target.stream.is_sliced and listed:
        run(handle, _NOTE, _key(target) | {"listed": list(listed)})


def absent_slices(database: Database, target: BatchTarget) -> dict[str, bool]:
    """Slices that were read once and are not listed now; True: for longer than the grace."""
    with database.tenant(target.tenant_id) as handle:
        found = rows(handle, _ABSENT, _key(target) | {"grace": GRACE})
    return {each["slice"]: each["is_over"] for each in found}


def forget_absence(handle: Handle, target: BatchTarget, slice: str) -> None:
    """A slice that isn't listed is there all the same: the grace begins anew."""
    run(handle, _STILL_THERE, _key(target) | {"slice": slice})


def parts_of(
    database: Database, target: BatchTarget, listed: Sequence[str], gone: Sequence[str] = (), *, is_all_known: bool
) -> Parts:
    """The full reads to sweep by, now that the stream has come to its end with these slices `listed`.

    Records of no known slice are among them only when every listed slice that holds records of ours was read in
    full, and `is_all_known` of those that are not listed: they could be in any.
    """
    with database.tenant(target.tenant_id) as handle:
        found = {each["slice"]: each for each in rows(handle, _COMPLETE, _key(target))}
        unread = [slice for slice in listed if slice not in found]
        holds = sql.SQL(_HOLDS).format(raw=sql.Identifier(*target.stream.raw_table.split(".")))
        is_whole = not unread or row(handle, holds, _key(target) | {"slices": unread}) is None
    parts = [Part(slice, each["full_generation"], each["full_since"]) for slice, each in found.items()]
    leaving = [Part(slice, is_gone=True) for slice in gone]
    if not target.stream.is_sliced:
        return Parts(tuple(parts))
    if parts and is_all_known and is_whole:
        sinces = [part.since for part in parts if part.since is not None]
        parts.append(Part("", min(part.generation for part in parts), max(sinces, default=None)))
    return Parts((*parts, *leaving))


def close_parts(handle: Handle, target: BatchTarget, parts: Parts, *, is_refused: bool) -> None:
    """A sweep by these reads is done, or was refused in this sync. Marks that no unfinished read needs are dropped."""
    values = _key(target) | {"slices": [part.slice for part in parts.all], "newest": parts.generation}
    if is_refused:
        run(handle, _REFUSE, values)
        return
    run(handle, _CLOSE, values)
    run(handle, _LEAVE, values | {"gone": [part.slice for part in parts.all if part.is_gone]})
    run(handle, _FORGET, values)


def _key(target: BatchTarget) -> dict[str, object]:
    return {
        "tenant": target.tenant_id,
        "connector": target.connector_id,
        "stream": target.stream.name,
        "sync_log": target.sync_log_id,
    }


_OF_STREAM = "tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s"

_COMPLETE = f"""
SELECT slice, full_generation, full_since FROM stream_cursors
WHERE {_OF_STREAM} AND full_generation IS NOT NULL
  AND (sweep_refused_in IS NULL OR sweep_refused_in = %(sync_log)s)
"""  # noqa: S608 - constants only

_HOLDS = "SELECT FROM {raw} WHERE tenant_id = %(tenant)s AND NOT deleted AND slice = ANY(%(slices)s) LIMIT 1"

_ABSENT = f"""
SELECT slice, absent_since < now() - %(grace)s AS is_over FROM stream_cursors
WHERE {_OF_STREAM} AND absent_since IS NOT NULL ORDER BY slice
"""  # noqa: S608 - constants only

_NOTE = f"""
UPDATE stream_cursors SET absent_since = CASE WHEN slice = ANY(%(listed)s) THEN NULL ELSE now() END
WHERE {_OF_STREAM} AND (slice = ANY(%(listed)s)) = (absent_since IS NOT NULL)
"""  # noqa: S608 - constants only

_STILL_THERE = f"UPDATE stream_cursors SET absent_since = now() WHERE {_OF_STREAM} AND slice = %(slice)s"  # noqa: S608 - constants only

_REFUSE = f"""
UPDATE stream_cursors SET sweep_refused_in = %(sync_log)s WHERE {_OF_STREAM} AND full_generation IS NOT NULL
"""  # noqa: S608 - constants only

_CLOSE = f"""
UPDATE stream_cursors SET full_generation = NULL, full_since = NULL, sweep_refused_in = NULL
WHERE {_OF_STREAM} AND slice = ANY(%(slices)s)
"""  # noqa: S608 - constants only

# A slice that is gone needs no position any more; should it come back, it is read in full.
_LEAVE = f"DELETE FROM stream_cursors WHERE {_OF_STREAM} AND slice = ANY(%(gone)s)"  # noqa: S608 - constants only

_FORGET = f"""
DELETE FROM sweep_marks WHERE {_OF_STREAM} AND generation <= %(newest)s
  AND generation < coalesce((SELECT min(coalesce(full_generation, generation)) FROM stream_cursors
       WHERE {_OF_STREAM} AND (full_generation IS NOT NULL OR cursor IS NOT NULL AND generation > 0)),
      9223372036854775807)
"""  # noqa: S608 - constants only
