"""The stage: one temporary table per stream read, filled by COPY, from which raw and canonical rows are written.

PostgreSQL refuses COPY straight into tables with row-level security (decision 1). The table belongs to
the connection, is emptied by every commit, and is made only when something has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql

from gtmc_pipelines.model.entities import ENTITIES, EntitySpec
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import RowMapper, SourceRecord
from gtmc_pipelines.storage import copy_text

# Plans must not depend on statistics of tables that were empty a moment ago (reference/performance.md, 7.1).
WRITE_OPTIONS = (
    "-c plan_cache_mode=force_custom_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"
    " -c jit=off -c temp_buffers=32MB -c lock_timeout=10s"
)
"""Settings every write connection begins with, and comes back to."""


class Fate(StrEnum):
    """What becomes of a staged record."""

    MAPPED = "m"  # landed, canonical rows upserted
    DELETED = "d"  # landed as deleted, canonical rows marked
    REJECTED = "r"  # landed only: the mapping could not make a row of it


class Stage:
    """The temporary table for one set of mappers. Columns of mapper `k` are named `c<k>_<column>`.

    `out<k>` says of a mapper that may leave records out (`choosy`) that it does.
    """

    def __init__(self, mappers: Sequence[RowMapper], choosy: Collection[int] = ()) -> None:
        columns: list[tuple[str, str]] = []
        for position, mapper in enumerate(mappers):
            columns += [(f"out{position}", "boolean")] if position in choosy else []
            columns += [(f"c{position}_{column}", column_type(mapper.table, column)) for column in mapper.columns]
        self._ddl = sql.SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS gtmc_stage (external_id text, content_hash bytea,"
            ' source_updated_at timestamptz, fate "char", {}payload jsonb) ON COMMIT DELETE ROWS'
        ).format(sql.SQL("").join(sql.SQL("{} {}, ").format(sql.Identifier(n), sql.SQL(t)) for n, t in columns))
        self._copy = sql.SQL(f"COPY pg_temp.gtmc_stage FROM STDIN ({copy_text.OPTIONS})")
        self.unmapped = copy_text.nulls(len(columns))

    def make(self, connection: psycopg.Connection[Any]) -> None:
        """Make the table if this connection has none yet."""
        connection.execute(self._ddl)

    def clear(self, connection: psycopg.Connection[Any]) -> None:
        """Empty the stage before the transaction ends, for another part of the batch."""
        connection.execute("TRUNCATE pg_temp.gtmc_stage")

    def fill(self, connection: psycopg.Connection[Any], lines: Sequence[bytes]) -> None:
        """Put `lines` into the stage, which must be empty."""
        with connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            copy.write(b"".join(lines))


def stage_line(record: SourceRecord, content_hash: bytes, fate: Fate, row: str, payload: bytes) -> bytes:
    """One line of COPY. Raises UnicodeEncodeError when a mapped text holds a lone surrogate."""
    stamp = record.source_updated_at
    key = record.external_id
    head = copy_text.SEPARATOR.join(
        (
            key if key.isalnum() else copy_text.escape(key),
            copy_text.bytea(content_hash),
            copy_text.NULL if stamp is None else stamp.isoformat(),
            fate,
            row,
            "",
        )
    )
    return head.encode() + copy_text.escape_bytes(payload) + b"\n"


def spec_of(table: str) -> EntitySpec:
    """The canonical table's entity. Raises Broken for a table that isn't one."""
    for spec in ENTITIES.values():
        if spec.table == table:
            return spec
    raise Broken("unknown_table", f"A mapping writes {table!r}, which is not a canonical table.")


def column_type(table: str, column: str) -> str:
    """PostgreSQL's name of a canonical column's type. Raises Broken for a column that doesn't exist."""
    for field in spec_of(table).fields:
        if field.column == column:
            return field.kind.value
    raise Broken("unknown_column", f"A mapping fills {table}.{column}, which doesn't exist.")
