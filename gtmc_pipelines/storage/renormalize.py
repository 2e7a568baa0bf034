"""Canonical rows made again from raw ones: pages of the raw extract, and the write path without landing.

The raw extract is only read: what is stored there is the vendor's newest version already, and its
content hash is over the vendor's own bytes, which a payload read back from jsonb no longer has.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage import bookkeeping, sync_logs
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.batch_transaction import BatchTransaction, Written
from gtmc_pipelines.storage.batch_writer import ATTEMPTS, BatchWriter
from gtmc_pipelines.storage.dead_letters import NewLetter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import Prepared
from gtmc_pipelines.storage.statements import Handle, row, rows, run

PAGE_RECORDS = 2_000

_PAGE = """
SELECT external_id, payload::text AS payload, source_updated_at, deleted FROM {table}
 WHERE tenant_id = %(tenant)s AND external_id > %(after)s ORDER BY external_id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a re-normalisation has come: `after` is the last record id done of `stream`, None when all are."""

    stream: str
    after: str | None = ""

    def as_text(self) -> str:
        """As it stands in the sync log while it runs."""
        return json.dumps({"stream": self.stream, "after": self.after})


def read_position(handle: Handle, tenant_id: str, sync_log_id: str) -> Position | None:
    """The position in a running log; None when nothing was written yet."""
    found = row(
        handle,
        "SELECT cursor_after FROM sync_logs WHERE tenant_id = %(tenant)s AND id = %(id)s AND completed_at IS NULL",
        {"tenant": tenant_id, "id": sync_log_id},
    )
    return None if found is None or found["cursor_after"] is None else Position(**json.loads(found["cursor_after"]))


def raw_page(
    database: Database, tenant_id: str, stream: Stream, after: str, limit: int = PAGE_RECORDS
) -> list[SourceRecord]:
    """The tenant's raw records of a stream after this id, `limit` of them at most, by id."""
    table = sql.Identifier(*stream.raw_table.split("."))
    with database.tenant(tenant_id) as handle:
        found = rows(handle, sql.SQL(_PAGE).format(table=table), {"tenant": tenant_id, "after": after, "limit": limit})
    return [SourceRecord(r["external_id"], r["payload"].encode(), r["source_updated_at"], r["deleted"]) for r in found]


class Rewrite(BatchTransaction):
    """Every record of the batch is mapped and compared with its canonical row; nothing is landed."""

    is_of_raw = True

    def run(self, open_letters: Any) -> Written:
        """As `BatchTransaction.run`."""
        target, connection = self._plan.target, self._connection
        self._batch_id, self.transaction_id = bookkeeping.begin(connection, target)
        keys = self._keys()
        if keys:
            self._plan.stage.make(connection)
            stored = self._stored(keys)
            self._write([self._staged(key, key in stored) for key in keys])
        self._add(failed=len(self._letters))
        resolved = self._keep_books(open_letters)
        return self._written(resolved)

    def _keys(self) -> list[str]:
        """Ids of the records to write."""
        return list(self._prepared.newest)

    def _stored(self, keys: list[str]) -> Collection[str]:
        """Which of them the raw extract holds already."""
        return frozenset(keys)

    def _land(self, ids: list[str]) -> frozenset[str]:
        return frozenset()

    def _close(self) -> None:
        _close(self._connection, self._plan.target, self._batch, self._counts, self._failed_values)


class RawRewriter(BatchWriter):
    """A batch writer whose batches come from `raw_page`: their checkpoint is the last id, None at the stream's end.

    The position goes to the sync log instead of the stream's cursor, in the transaction of the rows.
    """

    transaction: type[BatchTransaction] = Rewrite

    def _dead_letter(self, connection: psycopg.Connection[Any], batch: Batch, prepared: Prepared, cause: str) -> Counts:
        batch_id, _ = bookkeeping.begin(connection, self._target)
        detail = f"refused {ATTEMPTS} times: {cause}"
        letters = [NewLetter(key, "write", "batch_failed", detail) for key in prepared.newest]
        counts = Counts(read=batch.read, failed=len(letters))
        bookkeeping.dead_letter(connection, self._target, batch_id, letters, is_of_raw=True)
        _close(connection, self._target, batch, counts)
        return counts


def _close(
    connection: psycopg.Connection[Any], target: BatchTarget, batch: Batch, counts: Counts, failed_values: int = 0
) -> None:
    sync_logs.add_counts(
        connection,
        target.tenant_id,
        target.sync_log_id,
        target.stream.name,
        counts,
        state="complete" if batch.is_last else "running",
        phase=Phase.WRITING,
        failed_values=failed_values,
    )
    run(
        connection,
        "UPDATE sync_logs SET cursor_after = %(position)s WHERE tenant_id = %(tenant)s AND id = %(id)s",
        {
            "position": Position(target.stream.name, batch.checkpoint).as_text(),
            "tenant": target.tenant_id,
            "id": target.sync_log_id,
        },
    )
