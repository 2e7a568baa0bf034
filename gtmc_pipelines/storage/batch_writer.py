"""The batch writer: owns one connection, retries a batch that fails, and gives up on a batch without losing it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psycopg
from sqlalchemy import PoolProxiedConnection
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.records import RowMapper
from gtmc_pipelines.storage import bookkeeping
from gtmc_pipelines.storage.batch import Batch, BatchPlan, BatchTarget
from gtmc_pipelines.storage.batch_notes import NOTHING, Noted, noted
from gtmc_pipelines.storage.batch_transaction import BatchTransaction, Written
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import Prepared, prepare
from gtmc_pipelines.storage.write_errors import describe, is_of_a_record, is_of_the_server, unreachable

ATTEMPTS = 3
_LETTERS_KNOWN = 50_000  # ids of dead letters kept in memory; with more of them every batch asks the table

_log = logging.getLogger(__name__)


class BatchWriter:
    """Writes the batches of one stream read, in order, each in one transaction. Use it as a context manager.

    Holds a connection, and the temporary table on it; not thread-safe. A batch PostgreSQL keeps
    refusing is dead-lettered whole after 3 attempts and the next one is written. Raises what is not
    the data's fault: Retry `database_unreachable`, or the lease's error when the fence is lost.
    """

    transaction: type[BatchTransaction] = BatchTransaction

    def __init__(self, database: Database, target: BatchTarget, mappers: Sequence[RowMapper]) -> None:
        self._database = database
        self._target = target
        self._plan = BatchPlan(target, mappers)
        self._lent: PoolProxiedConnection | None = None
        self._open_letters: set[str] | None = None
        self._noted: Noted | None = None
        self._unanswered: tuple[str, Written] | None = None

    @property
    def primary_mapper(self) -> RowMapper:
        """The mapper of the stream's primary entity."""
        return self._plan.mappers[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; what was not committed is rolled back."""
        lent, self._lent = self._lent, None
        if lent is not None and _psycopg(lent).closed:
            lent.invalidate()
        elif lent is not None:
            lent.close()

    def write(self, batch: Batch) -> Counts:
        """Write one batch with its dead letters, counts and checkpoint; its balanced counts.

        When this returns, everything is committed; when it raises, nothing is, unless the server
        went away for good between COMMIT and its answer: then its checkpoint tells.
        """
        self._unanswered = None
        prepared = prepare(batch.records, self._plan.content_hash)
        written = self._persistently(batch, prepared)
        if self._open_letters is not None and len(self._open_letters) <= _LETTERS_KNOWN:
            self._open_letters = self._open_letters - written.resolved | written.letters
        self._noted = (self._noted or NOTHING) | written.noted
        return written.counts

    def _persistently(self, batch: Batch, prepared: Prepared) -> Written:
        attempts = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception_type(psycopg.Error),
        )
        try:
            return attempts(self._attempt, batch, prepared)
        except RetryError as failure:
            error = failure.last_attempt.exception()
        assert isinstance(error, psycopg.Error)
        if self._lent is None or is_of_the_server(error, _psycopg(self._lent)):
            raise unreachable(error) from None
        return self._give_up(batch, prepared, describe(error))

    def _attempt(self, batch: Batch, prepared: Prepared) -> Written:
        """Try at full speed, then, when one value is to blame, with every record on its own footing."""
        try:
            return self._transact(batch, prepared, isolate=False)
        except psycopg.Error as error:
            if not is_of_a_record(error):
                raise
        return self._transact(batch, prepared, isolate=True)

    def _transact(self, batch: Batch, prepared: Prepared, *, isolate: bool) -> Written:
        connection = self._connected()
        if self._unanswered is not None:
            transaction_id, written = self._unanswered
            if bookkeeping.has_committed(connection, transaction_id):
                self._unanswered = None
                return written
        self._unanswered = None
        if self._open_letters is None:
            self._open_letters = bookkeeping.open_letters(connection, self._target, _LETTERS_KNOWN + 1)
        if self._noted is None:
            self._noted = noted(connection, self._target, self._plan.mappers)
        waiting = self._open_letters if len(self._open_letters) <= _LETTERS_KNOWN else prepared.newest.keys()
        transaction = self.transaction(connection, self._plan, batch, prepared, isolate=isolate, noted=self._noted)
        with connection.transaction():
            written = transaction.run(waiting)
            self._unanswered = transaction.transaction_id, written  # until COMMIT is answered
        self._unanswered = None
        return written

    def _give_up(self, batch: Batch, prepared: Prepared, cause: str) -> Written:
        """Dead-letter every record of the batch with its payload, and move on."""
        _log.error("A batch of %s was dead-lettered after %s attempts: %s", self._target.stream.name, ATTEMPTS, cause)
        try:
            connection = self._connected()
            with connection.transaction():
                counts = self._dead_letter(connection, batch, prepared, cause)
        except psycopg.Error as error:
            raise unreachable(error) from None
        return Written(counts, frozenset(prepared.newest))

    def _dead_letter(self, connection: psycopg.Connection[Any], batch: Batch, prepared: Prepared, cause: str) -> Counts:
        return bookkeeping.dead_letter_batch(connection, self._target, batch, prepared, ATTEMPTS, cause)

    def _connected(self) -> psycopg.Connection[Any]:
        """The connection, made again when it broke. Raises psycopg.OperationalError when that fails."""
        if self._lent is not None and _psycopg(self._lent).closed:
            self.close()
        if self._lent is None:
            self._lent = self._database.write_connection()
        return _psycopg(self._lent)


def _psycopg(lent: PoolProxiedConnection) -> psycopg.Connection[Any]:
    connection = lent.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection
