"""Canonical rows as people and checks read them: the live ones of one tenant and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

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
