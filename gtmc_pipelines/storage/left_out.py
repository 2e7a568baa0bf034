"""Members of a group (slices: mailboxes) that syncs could not read: why, since when, for how many syncs in a row.

A slice's key holds no personal data, and neither does a fault's sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, rows, run

MOST_ON_A_LOG = 100
"""Slices a sync's log names for each stream; it counts them all."""

_COLUMNS = "stream, slice, reason_code, kind, sentence, sync_log_id, syncs_in_a_row, since, last_seen_at"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A slice that the last sync could not read.

    `kind` is `unserved` (the vendor can't serve it), `down` (it was tried and is left for the next sync) or
    `broken`. `sync_log_id` is the last sync that left it out.
    """

    stream: str
    slice: str
    reason_code: str
    kind: str
    sentence: str
    sync_log_id: str
    syncs_in_a_row: int
    since: datetime
    last_seen_at: datetime


def list_left_out(handle: Handle, tenant_id: str, connector_id: str) -> list[LeftOut]:
    """All that are left out at present, by stream and slice."""
    found = rows(
        handle,
        f"SELECT {_COLUMNS} FROM left_out_slices WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s"  # noqa: S608 - constants only
        " ORDER BY stream, slice",
        {"tenant": tenant_id, "connector": connector_id},
    )
    return [LeftOut(**values) for values in found]


@dataclass(frozen=True, slots=True)
class LongLeftOut:
    """Slices of one stream of a tenant that were left out for the same reason `syncs_in_a_row` times or more."""

    tenant_id: str
    stream: str
    reason_code: str
    slices: int
    syncs_in_a_row: int
    sentence: str


def long_left_out(database: Database, type: ConnectorType, syncs: int) -> list[LongLeftOut]:
    """Slices of all tenants that were left out `syncs` times in a row, though the vendor could serve them.

    Those it can't serve (no mailbox, out of the app's reach) are as they are, unless they were read before.
    """
    with database.fleet() as connection:
        return [LongLeftOut(**found) for found in rows(connection, _LONG, {"type": type.value, "syncs": syncs})]


def leave_out(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    stream: str,
    slice: str,
    *,
    sync_log_id: str,
    reason_code: str,
    kind: str,
    sentence: str,
) -> None:
    """Note that this sync can't read a slice; it counts once a sync, however often it is told."""
    values = {"stream": stream, "slice": slice, "reason": reason_code, "kind": kind, "sentence": sentence}
    run(handle, _PUT, {"tenant": tenant_id, "connector": connector_id, "sync": sync_log_id, **values})


def take_in(handle: Handle, tenant_id: str, connector_id: str, stream: str, slice: str) -> None:
    """A slice was read to its end: it is left out no more."""
    run(
        handle,
        "DELETE FROM left_out_slices WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s"
        " AND stream = %(stream)s AND slice = %(slice)s",
        {"tenant": tenant_id, "connector": connector_id, "stream": stream, "slice": slice},
    )


def forget_others(handle: Handle, tenant_id: str, connector_id: str, stream: str, slices: Sequence[str]) -> None:
    """Forget slices the stream no longer has: `slices` are all of it."""
    run(
        handle,
        "DELETE FROM left_out_slices WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s"
        " AND stream = %(stream)s AND slice <> ALL (%(slices)s)",
        {"tenant": tenant_id, "connector": connector_id, "stream": stream, "slices": list(slices)},
    )


def put_on_log(handle: Handle, tenant_id: str, connector_id: str, sync_log_id: str) -> None:
    """Write what a sync has left out on its log: by stream the number, the reasons, and the slices by name."""
    run(
        handle,
        _ON_LOG,
        {"tenant": tenant_id, "connector": connector_id, "sync": sync_log_id, "most": MOST_ON_A_LOG},
    )


_LONG = """
SELECT l.tenant_id, l.stream, l.reason_code, count(*) AS slices, max(l.syncs_in_a_row) AS syncs_in_a_row,
       min(l.sentence) AS sentence
  FROM left_out_slices l
  JOIN connectors c ON c.tenant_id = l.tenant_id AND c.id = l.connector_id
 WHERE c.type = %(type)s AND c.status <> 'disconnected' AND l.syncs_in_a_row >= %(syncs)s
   AND (l.kind <> 'unserved' OR l.was_read)
 GROUP BY l.tenant_id, l.stream, l.reason_code
 ORDER BY l.tenant_id, l.stream, l.reason_code
"""

_PUT = """
INSERT INTO left_out_slices AS l
       (tenant_id, connector_id, stream, slice, reason_code, kind, sentence, sync_log_id, was_read)
VALUES (%(tenant)s, %(connector)s, %(stream)s, %(slice)s, %(reason)s, %(kind)s, %(sentence)s, %(sync)s,
        EXISTS (SELECT FROM stream_cursors s WHERE s.tenant_id = %(tenant)s AND s.connector_id = %(connector)s
                   AND s.stream = %(stream)s AND s.slice = %(slice)s AND s.watermark IS NOT NULL))
ON CONFLICT (tenant_id, connector_id, stream, slice) DO UPDATE
   SET reason_code = excluded.reason_code, kind = excluded.kind, sentence = excluded.sentence,
       sync_log_id = excluded.sync_log_id, was_read = excluded.was_read, last_seen_at = now(),
       syncs_in_a_row = l.syncs_in_a_row + CASE WHEN l.sync_log_id = excluded.sync_log_id THEN 0 ELSE 1 END
"""

_ON_LOG = """
WITH left_out AS (
    SELECT stream, slice, reason_code, kind, syncs_in_a_row,
           row_number() OVER (PARTITION BY stream ORDER BY kind = 'unserved', slice) AS place
      FROM left_out_slices
     WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND sync_log_id = %(sync)s),
reasons AS (
    SELECT stream, sum(number) AS number, jsonb_object_agg(reason_code, number) AS reasons
      FROM (SELECT stream, reason_code, count(*) AS number FROM left_out GROUP BY stream, reason_code) AS by_reason
     GROUP BY stream),
named AS (
    SELECT stream, jsonb_agg(jsonb_build_object('slice', slice, 'reason', reason_code, 'kind', kind,
                                                'syncs_in_a_row', syncs_in_a_row) ORDER BY place) AS slices
      FROM left_out WHERE place <= %(most)s GROUP BY stream),
noted AS (
    SELECT jsonb_object_agg(stream, jsonb_build_object('count', number, 'reasons', reasons, 'slices', slices))
           AS streams
      FROM reasons JOIN named USING (stream))
UPDATE sync_logs AS s
   SET stream_counts = s.stream_counts || (
       SELECT jsonb_object_agg(key, coalesce(s.stream_counts -> key, '{}') || jsonb_build_object('left_out', value))
         FROM jsonb_each(noted.streams))
  FROM noted
 WHERE noted.streams IS NOT NULL AND s.tenant_id = %(tenant)s AND s.id = %(sync)s
"""
