"""Canonical rows as people and checks read them: the live ones of one tenant and source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Text, cast, select
from sqlalchemy.dialects.postgresql import JSONB

from gtmc_pipelines.storage.data_tables import CANONICAL
from gtmc_pipelines.storage.engine import Database

_BY_NAME = {table.name: table for table in CANONICAL.values()}


def live_rows(
    database: Database, tenant_id: str, table: str, source: str, columns: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """`columns` of every row that isn't deleted, by external id. Meant for checks and previews, not for millions.

    Raises KeyError for a table or column that isn't canonical.
    """
    canonical = _BY_NAME[table]
    wanted = [canonical.c[column] for column in columns]
    query = select(canonical.c.external_id, *wanted).where(
        canonical.c.tenant_id == tenant_id, canonical.c.source == source, canonical.c.deleted_at.is_(None)
    )
    with database.tenant(tenant_id) as connection:
        rows = connection.execute(query)
        return {row[0]: dict(zip(columns, row[1:], strict=True)) for row in rows}


@dataclass(frozen=True, slots=True)
class CanonicalRow:
    """A stored row: the values asked for by column, JSON with its numbers exact, and what guards it."""

    values: dict[str, Any]
    source_updated_at: datetime | None
    is_deleted: bool


def stored_rows(
    database: Database, tenant_id: str, table: str, source: str, external_ids: Sequence[str], columns: Sequence[str]
) -> dict[str, CanonicalRow]:
    """The rows with these external ids, deleted ones too; ids that have none are left out.

    Raises KeyError for a table or column that isn't canonical.
    """
    canonical = _BY_NAME[table]
    documents = {column for column in columns if isinstance(canonical.c[column].type, JSONB)}
    wanted = [cast(canonical.c[name], Text) if name in documents else canonical.c[name] for name in columns]
    query = select(canonical.c.external_id, canonical.c.source_updated_at, canonical.c.deleted_at, *wanted).where(
        canonical.c.tenant_id == tenant_id, canonical.c.source == source, canonical.c.external_id.in_(external_ids)
    )
    found = {}
    with database.tenant(tenant_id) as connection:
        for external_id, updated_at, deleted_at, *cells in connection.execute(query):
            pairs = zip(columns, cells, strict=True)
            values = {
                column: json.loads(cell, parse_float=Decimal) if column in documents and cell is not None else cell
                for column, cell in pairs
            }
            found[external_id] = CanonicalRow(values, updated_at, deleted_at is not None)
    return found
