"""Failed values: optional values that couldn't become their column's, by record and column; never the value itself.

A record is in the list as long as its row was written without the value. It leaves it when it is written with one,
deleted or erased, and when its mapping fills the column no more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gtmc_pipelines.model.entities import ENTITIES, SKIP, Entity
from gtmc_pipelines.model.records import FailedValue, RowMapper
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run

_OURS = "tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s"
_STORE = """
INSERT INTO failed_values AS f (tenant_id, connector_id, stream, external_id, table_name, column_name, reason_code,
                                source_field, sync_log_id, batch_id)
SELECT %(tenant)s, %(connector)s, %(stream)s, n.*, %(sync_log)s, %(batch)s
  FROM unnest(%(ids)s::text[], %(tables)s::text[], %(columns)s::text[], %(reasons)s::text[], %(fields)s::text[]) n
ON CONFLICT (tenant_id, connector_id, stream, external_id, table_name, column_name) DO UPDATE
   SET reason_code = excluded.reason_code, source_field = excluded.source_field, sync_log_id = excluded.sync_log_id,
       batch_id = excluded.batch_id, last_seen_at = now()
"""
# What a batch has just listed bears its number.
_SETTLE = f"DELETE FROM failed_values WHERE {_OURS} AND external_id = ANY (%(ids)s) AND batch_id <> %(batch)s"  # noqa: S608 - constants only
_FORGET = f"DELETE FROM failed_values WHERE {_OURS} AND external_id = ANY (%(ids)s)"  # noqa: S608 - constants only
_UNMAPPED = f"""
DELETE FROM failed_values WHERE {_OURS} AND table_name = %(table)s AND column_name <> ALL (%(columns)s)
"""  # noqa: S608 - put together from constants
_LIST = """
SELECT c.type AS connector, f.stream, f.external_id, f.table_name, f.column_name, f.reason_code, f.source_field,
       f.sync_log_id, f.first_seen_at, f.last_seen_at
  FROM failed_values f JOIN connectors c ON c.tenant_id = f.tenant_id AND c.id = f.connector_id
 WHERE f.tenant_id = %(tenant)s AND (%(connector)s::text IS NULL OR f.connector_id = %(connector)s)
   AND (%(stream)s::text IS NULL OR f.stream = %(stream)s)
 ORDER BY f.last_seen_at DESC, f.connector_id, f.stream, f.external_id, f.table_name, f.column_name LIMIT %(limit)s
"""
_SUMS = """
SELECT f.tenant_id, c.type AS connector, f.stream, f.table_name, f.column_name, f.source_field, f.reason_code,
       count(*) AS records, max(f.last_seen_at) AS last_seen_at
  FROM failed_values f JOIN connectors c ON c.tenant_id = f.tenant_id AND c.id = f.connector_id
 WHERE (%(tenant)s::text IS NULL OR f.tenant_id = %(tenant)s)
   AND (%(connector)s::text IS NULL OR %(connector)s IN (f.connector_id, c.type))
   AND (%(stream)s::text IS NULL OR f.stream = %(stream)s)
 GROUP BY f.tenant_id, c.type, f.stream, f.table_name, f.column_name, f.source_field, f.reason_code
 ORDER BY records DESC, f.tenant_id, c.type, f.stream, f.table_name, f.column_name, f.reason_code
"""

Failed = Mapping[str, Sequence[tuple[str, FailedValue]]]
"""By record: the canonical table and what of its row failed."""


@dataclass(frozen=True, slots=True)
class FailedValueRow:
    """A listed value of one record. `source_field` is empty where PostgreSQL refused what the mapping gave."""

    connector: str
    stream: str
    external_id: str
    table_name: str
    column_name: str
    reason_code: str
    source_field: str
    sync_log_id: str | None
    first_seen_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class FailedValueSum:
    """In how many records of a stream a column is empty for one reason."""

    tenant_id: str
    connector: str
    stream: str
    table_name: str
    column_name: str
    source_field: str
    reason_code: str
    records: int
    last_seen_at: datetime


def has_any(handle: Handle, tenant_id: str, connector_id: str, stream: str) -> bool:
    """Whether anything of a stream is listed: else a batch without failed values has nothing to do here."""
    statement = f"SELECT EXISTS (SELECT FROM failed_values WHERE {_OURS}) AS has_any"  # noqa: S608 - constants only
    found = row(handle, statement, _key(tenant_id, connector_id, stream))
    return bool(found and found["has_any"])


def settle(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    stream: str,
    failed: Failed,
    written: Collection[str],
    *,
    sync_log_id: str,
    batch_id: int,
) -> None:
    """List what `failed` of a batch, and take off the list what is fine of all the records it has `written`."""
    key = _key(tenant_id, connector_id, stream) | {"batch": batch_id}
    listed = [(record, table, value) for record, values in failed.items() for table, value in values]
    if listed:
        columns = {
            "ids": [record for record, _, _ in listed],
            "tables": [table for _, table, _ in listed],
            "columns": [value.column for _, _, value in listed],
            "reasons": [value.reason_code for _, _, value in listed],
            "fields": [value.field for _, _, value in listed],
        }
        run(handle, _STORE, key | columns | {"sync_log": sync_log_id})
    run(handle, _SETTLE, key | {"ids": list(written)})


def forget(handle: Handle, tenant_id: str, connector_id: str, stream: str, ids: Sequence[str]) -> None:
    """Take records off the list that are no more."""
    if ids:
        run(handle, _FORGET, _key(tenant_id, connector_id, stream) | {"ids": list(ids)})


def forget_unmapped(
    handle: Handle, tenant_id: str, connector_id: str, stream: str, mappers: Sequence[RowMapper]
) -> None:
    """Take columns off a stream's list that its mappings fill no more."""
    for mapper in mappers:
        columns = [*mapper.columns, *([SKIP.column] if mapper.is_selective else [])]
        names = {"table": mapper.table, "columns": columns}
        run(handle, _UNMAPPED, _key(tenant_id, connector_id, stream) | names)


def forget_unmapped_entries(
    handle: Handle, tenant_id: str, connector_id: str, entity: Entity, entries: Sequence[Mapping[str, Any]]
) -> None:
    """The same for all streams of an entity, by the documented entries of a mapping that was just saved."""
    spec = ENTITIES[entity]
    found = rows(
        handle,
        "SELECT DISTINCT stream FROM failed_values"
        " WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND table_name = %(table)s",
        {"tenant": tenant_id, "connector": connector_id, "table": spec.table},
    )
    for stream in (each["stream"] for each in found):
        targets = [str(entry.get("targetField")) for entry in entries if entry.get("stream") in (None, stream)]
        columns = [field.column for name in targets if (field := spec.target(name)) is not None]
        run(handle, _UNMAPPED, _key(tenant_id, connector_id, stream) | {"table": spec.table, "columns": columns})


def list_failed(
    database: Database, tenant_id: str, connector_id: str | None = None, stream: str | None = None, limit: int = 100
) -> list[FailedValueRow]:
    """The newest ones of a tenant, `limit` at most."""
    values = {"tenant": tenant_id, "connector": connector_id, "stream": stream, "limit": limit}
    with database.tenant(tenant_id) as handle:
        return [FailedValueRow(**found) for found in rows(handle, _LIST, values)]


def sums(
    database: Database, tenant_id: str | None = None, connector: str | None = None, stream: str | None = None
) -> list[FailedValueSum]:
    """Numbers of records by stream, column and reason, the most frequent first; of all tenants unless one is named.

    `connector` is a type or an id.
    """
    values = {"tenant": tenant_id, "connector": connector, "stream": stream}
    with database.fleet() if tenant_id is None else database.tenant(tenant_id) as handle:
        return [FailedValueSum(**found) for found in rows(handle, _SUMS, values)]


def _key(tenant_id: str, connector_id: str, stream: str) -> dict[str, Any]:
    return {"tenant": tenant_id, "connector": connector_id, "stream": stream}
