"""Canonical rows: the guarded upsert of a staged batch and the soft deletion of what the vendor deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.records import RowMapper
from gtmc_pipelines.storage.data_tables import LINKED_TO_ACCOUNTS
from gtmc_pipelines.storage.staging import spec_of


@dataclass(frozen=True, slots=True)
class Upserted:
    """Rows of one statement. What was staged and is in none of these was equal already."""

    created: int = 0
    updated: int = 0
    stale: int = 0  # the table holds a newer version


@dataclass(frozen=True, slots=True)
class Deleted:
    """Records by what their deletion did."""

    deleted: int = 0
    already: int = 0
    passed_over: int = 0  # never stored, or the table holds a newer version


class _Row(NamedTuple):
    source_updated_at: datetime | None
    is_live: bool


Moments = Mapping[str, datetime | None]
"""The vendor's change time of each record, by external id."""


class CanonicalTable:
    """Statements on one canonical table for one stream's records. The caller holds the transaction.

    A row's `id` is derived from tenant, source and external id (decision 3), so that `account_id`
    can be written before the account has arrived. `mapper.external_id_prefix`, when there is one,
    precedes the record's id (Fathom's activities). Columns the mapping doesn't fill are emptied.
    """

    def __init__(
        self, mapper: RowMapper, position: int, stream: Stream, tenant_id: str, *, is_choosy: bool = False
    ) -> None:
        self.identifier = sql.Identifier(mapper.table)
        self.prefix = mapper.external_id_prefix
        source = stream.connector.value
        self._keys = {"tenant": tenant_id, "source": source, "prefix": self.prefix, "scope": f"{tenant_id}:{source}:"}
        columns = {column: sql.Identifier(f"c{position}_{column}") for column in mapper.columns}
        values: dict[str, sql.Composable] = {column: sql.SQL("s.{}").format(name) for column, name in columns.items()}
        if spec_of(mapper.table).entity in LINKED_TO_ACCOUNTS and "account_external_id" in columns:
            values["account_id"] = _derived_id(values["account_external_id"])
        values |= _emptied(mapper)
        names = {
            "table": self.identifier,
            "columns": _each("{}, ", values),
            "values": sql.SQL("").join(sql.SQL("{}, ").format(value) for value in values.values()),
            "sets": _each("{0} = excluded.{0}, ", values),
            "ours": _each("t.{}, ", values),
            "theirs": _each("excluded.{}, ", values),
            "id": _derived_id(sql.SQL("%(prefix)s::text || s.external_id")),
            "chosen": sql.SQL(" AND NOT s.{}").format(sql.Identifier(f"out{position}")) if is_choosy else sql.SQL(""),
        }
        self._upsert = sql.SQL(_UPSERT).format(**names)
        self._find = sql.SQL(_FIND).format(**names)
        self._delete = sql.SQL(_DELETE).format(**names)
        self._leave_out = sql.SQL(_LEAVE_OUT).format(**names)

    def upsert(self, connection: psycopg.Connection[Any], staged: Moments, passed_over: frozenset[str]) -> Upserted:
        """Write the mapped records of the stage except `passed_over`; `staged` holds those that are left.

        An older version never overwrites a newer one, an equal row is not rewritten, a deleted row
        comes back to life.
        """
        values = self._keys | {"not": list(passed_over)}
        created, updated = connection.execute(self._upsert, values).fetchone() or (0, 0)
        if created + updated == len(staged):
            return Upserted(created, updated)
        stale = sum(1 for key, row in self._stored(connection, staged).items() if _is_newer(row, staged[key]))
        return Upserted(created, updated, stale)

    def delete(self, connection: psycopg.Connection[Any], deletions: Moments) -> Deleted:
        """Mark rows as deleted at the vendor's time (or now). The rows stay."""
        stored = self._stored(connection, deletions)
        stale = {key for key, row in stored.items() if _is_newer(row, deletions[key])}
        live = [key for key, row in stored.items() if row.is_live and key not in stale]
        if live:
            with connection.cursor() as cursor:
                cursor.executemany(
                    self._delete, [self._keys | {"id": self.prefix + key, "at": deletions[key]} for key in live]
                )
        passed_over = len(stale) + len(deletions) - len(stored)
        return Deleted(len(live), len(deletions) - len(live) - passed_over, passed_over)

    def leave_out(self, connection: psycopg.Connection[Any], ids: Iterable[str]) -> int:
        """Mark the rows of records as deleted that the mapping leaves out now; how many there were."""
        values = self._keys | {"ids": [self.prefix + key for key in ids]}
        return connection.execute(self._leave_out, values).rowcount

    def _stored(self, connection: psycopg.Connection[Any], ids: Iterable[str]) -> dict[str, _Row]:
        values = self._keys | {"ids": [self.prefix + key for key in ids]}
        start = len(self.prefix)
        return {key[start:]: _Row(at, live) for key, at, live in connection.execute(self._find, values).fetchall()}


def _emptied(mapper: RowMapper) -> dict[str, sql.Composable]:
    """Nulls for the columns a mapping doesn't fill: a row is what its record and the mapping say, and nothing older."""
    spec = spec_of(mapper.table)
    kinds = {field.column: field.kind.value for field in spec.fields}
    if spec.entity in LINKED_TO_ACCOUNTS and "account_external_id" not in mapper.columns:
        kinds["account_id"] = "text"
    return {
        column: sql.SQL("NULL::{}").format(sql.SQL(kind))
        for column, kind in kinds.items()
        if column not in mapper.columns
    }


def _is_newer(row: _Row, at: datetime | None) -> bool:
    return row.source_updated_at is not None and at is not None and row.source_updated_at > at


def _each(template: str, columns: Mapping[str, object]) -> sql.Composable:
    return sql.SQL("").join(sql.SQL(template).format(sql.Identifier(column)) for column in columns)


def _derived_id(external_id: sql.Composable) -> sql.Composable:
    """Null when `external_id` is."""
    return sql.SQL("md5(%(scope)s::text || {})::uuid::text").format(external_id)


_UPSERT = """
WITH written AS (
  INSERT INTO {table} AS t (id, tenant_id, source, external_id, {columns}source_updated_at)
  SELECT {id}, %(tenant)s, %(source)s, %(prefix)s::text || s.external_id, {values}s.source_updated_at
  FROM pg_temp.gtmc_stage AS s
  WHERE s.fate = 'm'{chosen} AND (%(not)s::text[] = '{{}}' OR s.external_id <> ALL(%(not)s::text[]))
  ON CONFLICT (tenant_id, source, external_id) DO UPDATE SET
    {sets}source_updated_at = coalesce(excluded.source_updated_at, t.source_updated_at),
    updated_at = now(), deleted_at = NULL, deleted_reason = NULL
  WHERE (t.source_updated_at IS NULL OR excluded.source_updated_at IS NULL
      OR excluded.source_updated_at >= t.source_updated_at)
    AND (t.deleted_at IS NOT NULL OR ({ours}t.source_updated_at)
      IS DISTINCT FROM ({theirs}coalesce(excluded.source_updated_at, t.source_updated_at)))
  RETURNING xmax = 0 AS is_new)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""

_LEAVE_OUT = """
UPDATE {table} SET deleted_at = now(), updated_at = now()
WHERE tenant_id = %(tenant)s AND source = %(source)s AND external_id = ANY(%(ids)s) AND deleted_at IS NULL
"""

_FIND = """
SELECT external_id, source_updated_at, deleted_at IS NULL FROM {table}
WHERE tenant_id = %(tenant)s AND source = %(source)s AND external_id = ANY(%(ids)s)
"""

_DELETE = """
UPDATE {table} SET deleted_at = coalesce(%(at)s, now()), updated_at = now(),
  source_updated_at = coalesce(%(at)s, source_updated_at)
WHERE tenant_id = %(tenant)s AND source = %(source)s AND external_id = %(id)s AND deleted_at IS NULL
"""
