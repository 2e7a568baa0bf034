"""Counts of what is stored of one connector: rows, live rows, and empty values by column."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, EntitySpec
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import row

_ROWS = sql.SQL(
    "SELECT count(*) AS rows, count(*) FILTER (WHERE deleted_at IS NULL) AS live{nulls}"
    " FROM {table} WHERE tenant_id = %(tenant)s AND source = %(source)s"
)
_NULLS = sql.SQL(", count(*) FILTER (WHERE deleted_at IS NULL AND {column} IS NULL) AS {column}")
_RAW = sql.SQL(
    "SELECT count(*) AS rows, count(*) FILTER (WHERE NOT deleted) AS live FROM {table} WHERE tenant_id = %(tenant)s"
)


def count_tables(database: Database, tenant_id: str, connector: ConnectorType) -> dict[str, dict[str, Any]]:
    """Per canonical and raw table of this connector: `rows`, `live`, and for canonical ones `nulls` of live rows by
    column. One scan of the tenant's part of each table.
    """
    values = {"tenant": tenant_id, "source": connector.value}
    found: dict[str, dict[str, Any]] = {}
    with database.tenant(tenant_id) as handle:
        for spec in _specs(connector):
            counted = row(handle, _statement(spec), values) or {}
            rows, live = counted.pop("rows"), counted.pop("live")
            found[spec.table] = {"rows": rows, "live": live, "nulls": counted}
        for stream in STREAMS[connector]:
            table = sql.Identifier(*stream.raw_table.split("."))
            found[stream.raw_table] = dict(row(handle, _RAW.format(table=table), values) or {})
    return found


def _specs(connector: ConnectorType) -> list[EntitySpec]:
    entities = dict.fromkeys(entity for stream in STREAMS[connector] for entity in stream.entities)
    return [ENTITIES[entity] for entity in entities]


def _statement(spec: EntitySpec) -> sql.Composed:
    nulls = sql.Composed([_NULLS.format(column=sql.Identifier(field.column)) for field in spec.fields])
    return _ROWS.format(nulls=nulls, table=sql.Identifier(spec.table))
