"""Landing: which records of a batch are new or changed, and their newest version in the raw extract."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import psycopg
from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.records import RowMapper, SourceRecord
from gtmc_pipelines.storage import copy_text

MAX_ID_BYTES = 1_024  # a longer key would not fit an index page beside its tenant
UNMAPPED = b""
"""Hash of a landed record without a canonical row: it differs from every real one, so the next read tries again."""

_NO_STAMP = b"\0" * 8
_pack = struct.Struct(">d").pack


class ContentHash:
    """Hash of a record: its bytes, change time and deleted flag, keyed by the mappings that make its row.

    Equal hashes mean that nothing would be written, so a changed mapping is noticed by the next full read.
    """

    def __init__(self, mappers: Sequence[RowMapper]) -> None:
        key = blake2b(b"\0".join(mapper.fingerprint.hex().encode() for mapper in mappers), digest_size=32).digest()
        self._live = blake2b(digest_size=16, key=key, person=b"live")
        self._deleted = blake2b(digest_size=16, key=key, person=b"deleted")

    def of(self, record: SourceRecord) -> bytes:
        """16 bytes."""
        digest = (self._deleted if record.is_deleted else self._live).copy()
        stamp = record.source_updated_at
        digest.update(record.payload + (_NO_STAMP if stamp is None else _pack(stamp.timestamp())))
        return digest.digest()


@dataclass(slots=True)
class Prepared:
    """A batch before the database is asked: one version per id, and what no table can hold."""

    newest: dict[str, SourceRecord]
    hashes: dict[str, bytes]
    repeated: int = 0
    without_storable_id: list[SourceRecord] = field(default_factory=list)


def prepare(records: Sequence[SourceRecord], content_hash: ContentHash) -> Prepared:
    """Keep the newest version of each id (the last on ties); set ids aside that PostgreSQL can't hold."""
    newest = {record.external_id: record for record in records}
    unstorable: list[SourceRecord] = []
    if not _are_storable(newest):
        unstorable = [record for record in records if not is_storable_id(record.external_id)]
        records = [record for record in records if is_storable_id(record.external_id)]
        newest = {record.external_id: record for record in records}
    repeated = len(records) - len(newest)
    if repeated:
        newest = _newest(records)
    of = content_hash.of
    return Prepared(newest, {key: of(record) for key, record in newest.items()}, repeated, unstorable)


def is_storable_id(external_id: str) -> bool:
    """Whether `external_id` can be a key: not empty, not too long, valid UTF-8 without NUL."""
    try:
        return 0 < len(external_id.encode()) <= MAX_ID_BYTES and "\0" not in external_id
    except UnicodeEncodeError:
        return False


def _are_storable(ids: Iterable[str]) -> bool:
    """The same for a whole batch at once, in one pass instead of one check each."""
    listed = list(ids)
    try:
        joined = "".join(listed).encode()
    except UnicodeEncodeError:
        return False
    return b"\0" not in joined and "" not in listed and max(map(len, listed), default=0) * 4 <= MAX_ID_BYTES


def _newest(records: Sequence[SourceRecord]) -> dict[str, SourceRecord]:
    newest: dict[str, SourceRecord] = {}
    for record in records:
        known = newest.get(record.external_id)
        if known is None or not _is_older(record, known):
            newest[record.external_id] = record
    return newest


def _is_older(record: SourceRecord, known: SourceRecord) -> bool:
    if record.source_updated_at is None or known.source_updated_at is None:
        return False
    return record.source_updated_at < known.source_updated_at


class RawTable:
    """Statements on the raw extract of one stream, for one tenant. The caller holds the transaction.

    Only `= ANY` and `ON CONFLICT`, never a join: those plan well on empty, fresh and huge tables alike
    (reference/performance.md, section 7.1).
    """

    def __init__(self, stream: Stream, tenant_id: str, slice: str = "") -> None:
        schema, _, name = stream.raw_table.partition(".")
        self.name = sql.Identifier(schema, name)
        self._tenant_id = tenant_id
        self._slice = slice or None
        self._probe = sql.SQL("SELECT external_id, content_hash FROM {} WHERE tenant_id = %s AND external_id = ANY({})")
        self._stale = sql.SQL(
            "SELECT external_id FROM {} WHERE tenant_id = %s AND external_id = ANY(%s) AND batch_id IS DISTINCT FROM %s"
        ).format(self.name)
        self._land = sql.SQL(_LAND).format(table=self.name)
        self._place = sql.SQL(_PLACE).format(table=self.name)

    def stored_hashes(self, connection: psycopg.Connection[Any], ids: list[str]) -> dict[str, bytes]:
        """Hashes of those of `ids` that are stored."""
        probe: sql.Composed
        values: tuple[str, str | list[str]]
        joined = copy_text.SEPARATOR.join(ids)
        if joined.count(copy_text.SEPARATOR) == len(ids) - 1:  # one text is cheaper to send than an array of them
            probe, values = self._probe.format(self.name, _SPLIT), (self._tenant_id, joined)
        else:
            probe, values = self._probe.format(self.name, sql.Placeholder()), (self._tenant_id, ids)
        return dict(connection.execute(probe, values, binary=True).fetchall())

    def land(
        self,
        connection: psycopg.Connection[Any],
        staged: list[str],
        sync_log_id: str,
        batch_id: int,
        shared: Sequence[str] = (),
    ) -> frozenset[str]:
        """Write the staged records; give back the ids of those older than what is stored, which are not written.

        They are noted as records of this table's slice alone, less those that are `shared`.
        """
        values: dict[str, Any] = {"tenant": self._tenant_id, "sync_log": sync_log_id, "batch": batch_id}
        values |= {"slice": self._slice, "shared": list(shared)}
        if connection.execute(self._land, values).rowcount == len(staged):
            return frozenset()
        rows = connection.execute(self._stale, (self._tenant_id, staged, batch_id)).fetchall()
        return frozenset(row[0] for row in rows)

    def place(self, connection: psycopg.Connection[Any], ids: Sequence[str], shared: Sequence[str]) -> None:
        """Note where records that were read and not landed again come from; nothing to do in a stream of one slice."""
        if self._slice is not None and ids:
            values = {"tenant": self._tenant_id, "slice": self._slice, "ids": list(ids), "shared": list(shared)}
            connection.execute(self._place, values)


_PLACE = """
UPDATE {table} AS r SET slice = p.slice
FROM (SELECT i AS external_id, CASE WHEN i = ANY(%(shared)s::text[]) THEN NULL ELSE %(slice)s::text END AS slice
        FROM unnest(%(ids)s::text[]) AS i) AS p
WHERE r.tenant_id = %(tenant)s AND r.external_id = p.external_id AND r.slice IS DISTINCT FROM p.slice
"""

_SPLIT = sql.SQL("string_to_array(%s, '" + copy_text.SEPARATOR + "')")

_LAND = """
INSERT INTO {table} AS r
  (tenant_id, external_id, payload, content_hash, source_updated_at, sync_log_id, batch_id, extracted_at, deleted,
   slice)
SELECT %(tenant)s, external_id, payload, content_hash, source_updated_at, %(sync_log)s, %(batch)s, now(), fate = 'd',
       CASE WHEN external_id = ANY(%(shared)s::text[]) THEN NULL ELSE %(slice)s::text END
FROM pg_temp.gtmc_stage
ON CONFLICT (tenant_id, external_id) DO UPDATE SET
  payload = excluded.payload, content_hash = excluded.content_hash,
  source_updated_at = coalesce(excluded.source_updated_at, r.source_updated_at), sync_log_id = excluded.sync_log_id,
  batch_id = excluded.batch_id, extracted_at = excluded.extracted_at, deleted = excluded.deleted,
  slice = excluded.slice, deleted_reason = NULL
WHERE r.source_updated_at IS NULL OR excluded.source_updated_at IS NULL
  OR excluded.source_updated_at >= r.source_updated_at
"""
