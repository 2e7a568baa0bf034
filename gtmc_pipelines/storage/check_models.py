"""What asset checks ask: the state of every connector of a type, the history of its streams, samples of raw fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows

HISTORY = 15
"""Syncs of a connector that its history holds: the newest that have ended."""

SAMPLE_RECORDS = 100
"""Raw records of a tenant that a look at fields may cost."""

# Office 365 without its agreement may not sync, so nothing is expected of it.
_HEALTH = """
SELECT c.tenant_id, c.id AS connector_id, c.status, c.error_code, c.error_kind, c.last_sync_error AS error,
       c.schedule_cron, c.schedule_timezone, c.created_at, c.updated_at AS since, l.owner_workflow,
       last.deferred_until
  FROM connectors c
  LEFT JOIN connector_leases l ON l.tenant_id = c.tenant_id AND l.connector_id = c.id
  LEFT JOIN LATERAL (
       SELECT s.deferred_until FROM sync_logs s
        WHERE s.tenant_id = c.tenant_id AND s.connector_id = c.id
          AND coalesce(s.trigger, '') NOT IN ('renormalize', 'replay')
        ORDER BY s.started_at DESC LIMIT 1) last ON true
 WHERE c.type = %(type)s AND c.status <> 'disconnected'
   AND (c.type <> 'o365' OR EXISTS (SELECT FROM o365_config o
                                     WHERE o.tenant_id = c.tenant_id AND o.dpa_accepted_at IS NOT NULL))
 ORDER BY c.last_sync_at DESC NULLS LAST, c.tenant_id
"""
# What is re-normalised has a sheet that must add up and records that may fail, but was not read from the vendor.
_STREAMS = """
SELECT c.tenant_id, counted.stream, count(*) AS syncs,
       max(s.completed_at) FILTER (WHERE s.is_read AND counted.is_complete) AS completed_at,
       coalesce(array_agg(counted.read ORDER BY s.started_at DESC)
                FILTER (WHERE s.is_read AND counted.is_complete AND s.sync_type = 'full'), '{}') AS full_reads,
       coalesce(array_agg(counted.read ORDER BY s.started_at DESC)
                FILTER (WHERE s.is_read AND counted.is_complete AND s.sync_type <> 'full'), '{}') AS incremental_reads,
       (array_agg(counted.read ORDER BY s.started_at DESC))[1] AS last_read,
       (array_agg(counted.failed ORDER BY s.started_at DESC))[1] AS last_failed,
       coalesce(array_agg(s.id ORDER BY s.started_at DESC) FILTER (WHERE NOT counted.is_balanced), '{}') AS unbalanced
  FROM connectors c
 CROSS JOIN LATERAL (
       (SELECT l.id, l.sync_type, l.started_at, l.completed_at, l.stream_counts, true AS is_read FROM sync_logs l
         WHERE l.tenant_id = c.tenant_id AND l.connector_id = c.id AND l.completed_at IS NOT NULL
           AND coalesce(l.trigger, '') NOT IN ('renormalize', 'replay')
         ORDER BY l.started_at DESC LIMIT %(history)s)
        UNION ALL
       (SELECT n.id, n.sync_type, n.started_at, n.completed_at, n.stream_counts, false FROM (
               SELECT l.* FROM sync_logs l
                WHERE l.tenant_id = c.tenant_id AND l.connector_id = c.id AND l.completed_at IS NOT NULL
                ORDER BY l.started_at DESC LIMIT %(history)s) n
         WHERE n.trigger = 'renormalize')) s
 CROSS JOIN LATERAL (
       SELECT e.key AS stream, coalesce(e.value ->> 'state' = 'complete', false) AS is_complete,
              n.read, n.failed,
              n.read = n.created + n.updated + n.unchanged + n.deleted + n.failed + n.skipped AS is_balanced
         FROM jsonb_each(s.stream_counts) e
        CROSS JOIN LATERAL (
              SELECT coalesce((e.value ->> 'read')::bigint, 0) AS read,
                     coalesce((e.value ->> 'created')::bigint, 0) AS created,
                     coalesce((e.value ->> 'updated')::bigint, 0) AS updated,
                     coalesce((e.value ->> 'unchanged')::bigint, 0) AS unchanged,
                     coalesce((e.value ->> 'deleted')::bigint, 0) AS deleted,
                     coalesce((e.value ->> 'failed')::bigint, 0) AS failed,
                     coalesce((e.value ->> 'skipped')::bigint, 0) AS skipped) n) counted
 WHERE c.type = %(type)s AND c.status <> 'disconnected'
 GROUP BY c.tenant_id, counted.stream
"""
_LETTERS = """
SELECT d.tenant_id, d.stream, d.reason_code, count(*) AS letters
  FROM dead_letters d JOIN connectors c ON c.tenant_id = d.tenant_id AND c.id = d.connector_id
 WHERE c.type = %(type)s AND c.status <> 'disconnected' AND d.replayed_at IS NULL
 GROUP BY d.tenant_id, d.stream, d.reason_code
"""
# Records the last sync read, which it has noted; besides, the highest ids by the primary key: no other order is
# cheap on a large extract, and most vendors' ids grow.
_SAMPLE = """
WITH noted AS MATERIALIZED (
     SELECT jsonb_array_elements_text(f.sample) AS external_id FROM stream_fields f
       JOIN connectors c ON c.tenant_id = f.tenant_id AND c.id = f.connector_id
      WHERE f.tenant_id = %(tenant_id)s AND f.stream = %(stream)s AND c.type = %(type)s),
last_sync AS MATERIALIZED (
     SELECT external_id, payload, extracted_at, sync_log_id FROM {table}
      WHERE tenant_id = %(tenant_id)s AND NOT deleted AND external_id = ANY (ARRAY(SELECT external_id FROM noted))),
highest AS MATERIALIZED (
     SELECT external_id, payload, extracted_at, sync_log_id FROM {table}
      WHERE tenant_id = %(tenant_id)s AND NOT deleted ORDER BY external_id DESC LIMIT %(records)s),
sample AS MATERIALIZED (
"""
_PRESENT = """
     SELECT payload, extracted_at, sync_log_id FROM last_sync
      UNION ALL SELECT payload, extracted_at, sync_log_id FROM highest WHERE NOT EXISTS (SELECT FROM last_sync))
"""
_BOTH = """
     SELECT payload, extracted_at, sync_log_id FROM last_sync
      UNION ALL SELECT h.payload, h.extracted_at, h.sync_log_id FROM highest h
                 WHERE h.external_id <> ALL (ARRAY(SELECT external_id FROM last_sync)))
"""
_PRESENCE = (
    _SAMPLE
    + _PRESENT
    + """
SELECT asked.path, count(sample.payload) AS records,
       count(*) FILTER (WHERE coalesce(sample.payload #> string_to_array(asked.path, '.'), 'null') <> 'null') AS filled
  FROM unnest(%(paths)s::text[]) AS asked (path) LEFT JOIN sample ON true
 GROUP BY asked.path
"""
)
_SHAPE = (
    _SAMPLE  # noqa: S608 - constants only
    + _BOTH
    + """,
newest AS (SELECT sync_log_id FROM sample ORDER BY extracted_at DESC LIMIT 1),
sized AS (SELECT payload, sync_log_id IS NOT DISTINCT FROM (SELECT sync_log_id FROM newest) AS is_new FROM sample)
SELECT sized.is_new, field.key AS field, jsonb_typeof(field.value) AS kind, count(*) AS records,
       (SELECT count(*) FROM sized other WHERE other.is_new = sized.is_new) AS sampled
  FROM sized CROSS JOIN LATERAL jsonb_each(sized.payload) AS field
 GROUP BY sized.is_new, field.key, kind
"""
)


@dataclass(frozen=True, slots=True)
class ConnectorHealth:
    """A connector that is expected to sync. `since` is when its row last changed, `error` one sentence."""

    tenant_id: str
    connector_id: str
    status: ConnectorStatus
    error_code: str | None
    error_kind: str | None
    error: str | None
    schedule_cron: str | None
    schedule_timezone: str
    created_at: datetime
    since: datetime
    owner_workflow: str | None
    deferred_until: datetime | None


@dataclass(frozen=True, slots=True)
class StreamHistory:
    """One stream of one tenant over the newest `HISTORY` syncs. Numbers are records, lists are newest first.

    `full_reads` and `incremental_reads` are of syncs that read the stream to its end, `completed_at` is the last
    such end; `unbalanced` are ids of sync logs whose sheet of this stream doesn't add up. Re-normalisings of late
    count among `syncs`, `unbalanced`, `last_read` and `last_failed` only.
    """

    tenant_id: str
    stream: str
    syncs: int
    completed_at: datetime | None
    full_reads: Sequence[int]
    incremental_reads: Sequence[int]
    last_read: int
    last_failed: int
    unbalanced: Sequence[str]


@dataclass(frozen=True, slots=True)
class OpenLetters:
    """How many records of a stream could not be written and why."""

    tenant_id: str
    stream: str
    reason_code: str
    letters: int


@dataclass(frozen=True, slots=True)
class Presence:
    """In how many of the sampled `records` the field behind a dotted `path` holds something."""

    path: str
    records: int
    filled: int


@dataclass(frozen=True, slots=True)
class FieldKind:
    """In how many `records` of `sampled` a top-level field has this JSON type; `is_new`: landed by the newest sync."""

    is_new: bool
    field: str
    kind: str
    records: int
    sampled: int


def connector_health(database: Database, type: ConnectorType) -> list[ConnectorHealth]:
    """Every connector of this type that is connected (Office 365: and agreed to), last synced first."""
    with database.fleet() as connection:
        found = rows(connection, _HEALTH, {"type": type.value})
    return [ConnectorHealth(**values | {"status": ConnectorStatus(values["status"])}) for values in found]


def stream_histories(database: Database, type: ConnectorType) -> list[StreamHistory]:
    """Each stream of each tenant that was ever synced, by one query over operational columns."""
    with database.fleet() as connection:
        return [
            StreamHistory(**values) for values in rows(connection, _STREAMS, {"type": type.value, "history": HISTORY})
        ]


def open_letters(database: Database, type: ConnectorType) -> list[OpenLetters]:
    """Dead letters nobody has written after all, counted by tenant, stream and reason."""
    with database.fleet() as connection:
        return [OpenLetters(**values) for values in rows(connection, _LETTERS, {"type": type.value})]


def field_presence(database: Database, tenant_id: str, stream: Stream, paths: Sequence[str]) -> list[Presence]:
    """How often these source fields (dotted paths) are filled in a sample of what a tenant's last sync read."""
    if not paths:
        return []
    values = _sampled(tenant_id, stream) | {"paths": list(paths)}
    with database.tenant(tenant_id) as connection:
        return [Presence(**found) for found in rows(connection, _on(stream, _PRESENCE), values)]


def field_kinds(database: Database, tenant_id: str, stream: Stream) -> list[FieldKind]:
    """Top-level fields of a sample of a tenant's raw extract with their JSON types, newest sync apart from the rest."""
    values = _sampled(tenant_id, stream)
    with database.tenant(tenant_id) as connection:
        return [FieldKind(**found) for found in rows(connection, _on(stream, _SHAPE), values)]


def _sampled(tenant_id: str, stream: Stream) -> dict[str, object]:
    return {
        "tenant_id": tenant_id,
        "records": SAMPLE_RECORDS,
        "stream": stream.name,
        "type": stream.connector.value,
    }


def _on(stream: Stream, statement: str) -> sql.Composed:
    return sql.SQL(statement).format(table=sql.Identifier(*stream.raw_table.split(".")))
