"""A few rows of a tenant, for previews: cheap on any table size, because they come by the key; and their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql
from sqlalchemy import func, select

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.storage.data_tables import CANONICAL
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows

_BY_NAME = {table.name: table for table in CANONICAL.values()}
# Of the payload only how much there is: its fields have any name, so nobody could tell which are about a person.
_EXTRACTS = """
SELECT external_id, source_updated_at, extracted_at, deleted,
       (SELECT count(*) FROM jsonb_object_keys(payload)) AS payload_fields, pg_column_size(payload) AS payload_bytes
  FROM {table} WHERE tenant_id = %(tenant_id)s ORDER BY external_id DESC LIMIT %(limit)s
"""


def sample_rows(
    database: Database, tenant_id: str, table: str, source: str, columns: Sequence[str], limit: int = 5
) -> list[dict[str, Any]]:
    """`columns` of canonical rows with the highest external ids, deleted ones left out.

    Raises KeyError for a table or column that isn't canonical.
    """
    canonical = _BY_NAME[table]
    query = (
        select(*(canonical.c[column] for column in columns))
        .where(canonical.c.tenant_id == tenant_id, canonical.c.source == source, canonical.c.deleted_at.is_(None))
        .order_by(canonical.c.external_id.desc())
        .limit(limit)
    )
    with database.tenant(tenant_id) as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


def sample_extracts(database: Database, tenant_id: str, stream: Stream, limit: int = 5) -> list[dict[str, Any]]:
    """Raw records with the highest ids: ids, moments and sizes, never what the vendor sent."""
    statement = sql.SQL(_EXTRACTS).format(table=sql.Identifier(*stream.raw_table.split(".")))
    with database.tenant(tenant_id) as connection:
        return rows(connection, statement, {"tenant_id": tenant_id, "limit": limit})


def count_rows(database: Database, tenant_id: str, table: str, source: str) -> int:
    """How many canonical rows a tenant has from a source, deleted ones left out. Raises KeyError for another table."""
    canonical = _BY_NAME[table]
    query = (
        select(func.count())
        .select_from(canonical)
        .where(canonical.c.tenant_id == tenant_id, canonical.c.source == source, canonical.c.deleted_at.is_(None))
    )
    with database.tenant(tenant_id) as connection:
        return int(connection.execute(query).scalar_one())


def count_extracts(database: Database, tenant_id: str, stream: Stream) -> int:
    """How many raw records a tenant has, without those the vendor has deleted."""
    text = "SELECT count(*) AS records FROM {table} WHERE tenant_id = %(tenant_id)s AND NOT deleted"
    statement = sql.SQL(text).format(table=sql.Identifier(*stream.raw_table.split(".")))
    with database.tenant(tenant_id) as connection:
        return int(rows(connection, statement, {"tenant_id": tenant_id})[0]["records"])
