"""Planned records: activities whose time is still to come, kept out of the canonical table until it has.

A meeting of next week takes place without any change of its record. So a record whose activity lies in the future
is noted with its moment, and each later sync makes the rows of those that are due from the raw extract.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.records import RowMapper, SourceRecord
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far a vendor's clock may be ahead of ours before what has happened there is taken for planned."""

PAGE_RECORDS = 500

_TABLE = ENTITIES[Entity.ACTIVITY].table
_COLUMN = "occurred_at"
_OURS = "tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s"
_STORE = """
INSERT INTO planned_records (tenant_id, connector_id, stream, external_id, due_at)
SELECT %(tenant)s, %(connector)s, %(stream)s, n.* FROM unnest(%(ids)s::text[], %(moments)s::timestamptz[]) n
ON CONFLICT (tenant_id, connector_id, stream, external_id) DO UPDATE SET due_at = excluded.due_at
"""
_FORGET = f"DELETE FROM planned_records WHERE {_OURS} AND external_id = ANY (%(ids)s)"  # noqa: S608 - constants only
_STREAMS = """
SELECT DISTINCT stream FROM planned_records
 WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND due_at <= %(now)s
"""
_DUE = f"""
SELECT external_id FROM planned_records WHERE {_OURS} AND due_at <= %(now)s ORDER BY due_at LIMIT %(limit)s
"""  # noqa: S608 - put together from constants
_RAW = """
SELECT external_id, payload::text AS payload, source_updated_at, deleted FROM {raw}
 WHERE tenant_id = %(tenant)s AND external_id = ANY (%(ids)s)
"""


def horizon_text(now: datetime) -> str:
    """The latest moment that counts as happened, in the form mappers write times in."""
    return (now + CLOCK_DIFFERENCE).isoformat(" ")


def time_column(mapper: RowMapper) -> int | None:
    """Where a mapper's row says when the activity took place; None when it makes no activities."""
    if mapper.table != _TABLE or _COLUMN not in mapper.columns:
        return None
    return mapper.columns.index(_COLUMN)


def is_planned(mapper: RowMapper, texts: Sequence[str | None], horizon: str) -> bool:
    """Whether a mapper's row is an activity after the horizon."""
    column = time_column(mapper)
    return column is not None and (texts[column] or "") > horizon


def has_any(handle: Handle, tenant_id: str, connector_id: str, stream: str) -> bool:
    """Whether any record of a stream is planned."""
    statement = f"SELECT EXISTS (SELECT FROM planned_records WHERE {_OURS}) AS has_any"  # noqa: S608 - constants only
    found = row(handle, statement, _key(tenant_id, connector_id, stream))
    return bool(found and found["has_any"])


def settle(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    stream: str,
    planned: Mapping[str, str],
    written: Collection[str],
) -> None:
    """Note the `planned` records of a batch with their moments; the others it has `written` are planned no more."""
    key = _key(tenant_id, connector_id, stream)
    if planned:
        run(handle, _STORE, key | {"ids": list(planned), "moments": list(planned.values())})
    forget(handle, tenant_id, connector_id, stream, [each for each in written if each not in planned])


def forget(handle: Handle, tenant_id: str, connector_id: str, stream: str, ids: Sequence[str]) -> None:
    """These records are not planned."""
    if ids:
        run(handle, _FORGET, _key(tenant_id, connector_id, stream) | {"ids": list(ids)})


def streams_due(handle: Handle, tenant_id: str, connector_id: str, now: datetime) -> frozenset[str]:
    """Streams of a connector with planned records whose time has come."""
    found = rows(handle, _STREAMS, {"tenant": tenant_id, "connector": connector_id, "now": now})
    return frozenset(each["stream"] for each in found)


def due_records(
    database: Database, tenant_id: str, connector_id: str, stream: Stream, now: datetime, limit: int = PAGE_RECORDS
) -> list[SourceRecord]:
    """The next raw records whose planned time has come; notes of records that are in no raw table any more go."""
    key = _key(tenant_id, connector_id, stream.name)
    raw = sql.SQL(_RAW).format(raw=sql.Identifier(*stream.raw_table.split(".")))
    with database.tenant(tenant_id) as handle:
        while True:
            ids = [each["external_id"] for each in rows(handle, _DUE, key | {"now": now, "limit": limit})]
            found = rows(handle, raw, key | {"ids": ids}) if ids else []
            known = {each["external_id"] for each in found}
            forget(handle, tenant_id, connector_id, stream.name, [each for each in ids if each not in known])
            if found or not ids:
                break
    return [SourceRecord(r["external_id"], r["payload"].encode(), r["source_updated_at"], r["deleted"]) for r in found]


def _key(tenant_id: str, connector_id: str, stream: str) -> dict[str, Any]:
    return {"tenant": tenant_id, "connector": connector_id, "stream": stream}
