"""The database as the other rooms see it: one pool, and transactions that know their tenant.

Every session runs as `gtmc_app` from its first moment (a start-up option, so that even RESET ROLE
comes back to it; each new session is asked), in UTC, with ISO dates. The tenant is set per transaction; without it the
row-level policies show nothing. What a borrower sets for longer ends when the connection is given back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
from sqlalchemy import URL, Connection, PoolProxiedConnection, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gtmc_pipelines.model.database_urls import HOW_TO_WRITE, is_unambiguous
from gtmc_pipelines.model.errors import Misuse, Retry
from gtmc_pipelines.storage import poolers, session_reset
from gtmc_pipelines.storage.staging import WRITE_OPTIONS

APP_ROLE = "gtmc_app"
FLEET_ROLE = "gtmc_fleet"
OPERATOR_ROLE = "gtmc_operator"
ERASER_ROLE = "gtmc_eraser"
TENANT_SETTING = "gtmc.tenant_id"

_SESSION_OPTIONS = "-c timezone=UTC -c datestyle=ISO"
_CONNECT_SECONDS = 10


class Database:
    """Two pools of connections and the ways to use one. Thread-safe; close it when done.

    A transaction that loses its connection, a deadlock, or a pool with nothing free is raised as
    Retry `database_unavailable`.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url = database_url(url)
        self._engine = create_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_reset_on_return=None,
            hide_parameters=True,  # values in a traceback may be personal
            connect_args={"options": f"{_SESSION_OPTIONS} -c role={APP_ROLE}", "connect_timeout": _CONNECT_SECONDS},
        )
        event.listen(self._engine, "connect", lambda connection, _record: self._require_setup(_driver(connection)))
        self._writing = QueuePool(
            cast(Any, self._write_session),  # SQLAlchemy's stubs want its own idea of a driver's connection
            pool_size=pool_size,
            max_overflow=-1,  # a sync that reads a stream is never kept from writing it
            reset_on_return=None,
            dialect=self._engine.dialect,
        )
        for lender in (self._engine, self._writing):
            event.listen(lender, "checkout", lambda lent, _record, _proxy: session_reset.require_alive(_driver(lent)))
            event.listen(lender, "reset", lambda back, _record, _state: session_reset.reset(_driver(back)))

    @contextmanager
    def tenant(self, tenant_id: str) -> Iterator[Connection]:
        """One transaction that sees this tenant's rows only. Commits on exit, rolls back on an exception."""
        with self._transaction() as connection:
            connection.exec_driver_sql(
                "SELECT set_config(%(name)s, %(tenant)s, true)", {"name": TENANT_SETTING, "tenant": tenant_id}
            )
            yield connection

    @contextmanager
    def fleet(self) -> Iterator[Connection]:
        """One read-only transaction over all tenants: operational columns, never config, raw or canonical rows."""
        with self._transaction() as connection:
            connection.exec_driver_sql(f"SET LOCAL ROLE {FLEET_ROLE}; SET TRANSACTION READ ONLY")
            yield connection

    @contextmanager
    def operator(self) -> Iterator[Connection]:
        """One transaction that may add and list tenants, and do nothing else."""
        with self._transaction() as connection:
            connection.exec_driver_sql(f"SET LOCAL ROLE {OPERATOR_ROLE}")
            yield connection

    @contextmanager
    def eraser(self, tenant_id: str) -> Iterator[Connection]:
        """One transaction that may delete anything of this tenant but the row of its audit log that says so."""
        with self.tenant(tenant_id) as connection:
            connection.exec_driver_sql(f"SET LOCAL ROLE {ERASER_ROLE}")
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction whose lost connection, deadlock or full pool is a Retry, without the statement."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, PoolTimeout, psycopg.OperationalError) as error:
            raise _unavailable(self.url, error) from None

    def raw_connection(self) -> psycopg.Connection[Any]:
        """A connection of its own, outside the pools; the caller closes it.

        Not autocommit, role `gtmc_app`, temporary tables allowed. Each transaction starts with
        `begin_tenant`; without it every policy shows nothing. Raises Misuse `database_pooler`.
        """
        connection = self._connect()
        self._require_setup(connection)
        return connection

    def _write_session(self) -> psycopg.Connection[Any]:
        connection = self._connect(WRITE_OPTIONS)
        self._require_setup(connection)
        return connection

    def _connect(self, more: str = "") -> psycopg.Connection[Any]:
        args, kwargs = self._engine.dialect.create_connect_args(self.url)
        session = f"{_SESSION_OPTIONS} -c role={APP_ROLE} {more}".rstrip()
        options = {**kwargs, "options": session, "connect_timeout": _CONNECT_SECONDS}
        return psycopg.connect(*args, **options)

    def _require_setup(self, connection: psycopg.Connection[Any]) -> None:
        poolers.require_setup(connection, place_of(self.url), APP_ROLE)

    def write_connection(self) -> PoolProxiedConnection:
        """The same kind, prepared for the write path and lent: `driver_connection` is psycopg's.

        `close` gives it back, rolled back and without its temporary tables; one that broke is `invalidate`d. A new one
        costs PostgreSQL and us 8 ms of CPU, and a sync without change writes a batch to each of its streams.
        """
        return self._writing.connect()

    def probe(self) -> None:
        """Prove that PostgreSQL itself answers, is migrated, and lets this login act as `gtmc_app`.

        Raises Misuse `database_unreachable`, `database_not_ready` or `database_pooler` otherwise.
        """
        try:
            with self._engine.connect() as connection:
                driver = _driver(connection.connection.driver_connection)
                poolers.require_own_session(driver, place_of(self.url), self._connect)
                is_migrated = connection.exec_driver_sql(
                    "SELECT to_regclass('public.sweep_marks') IS NOT NULL"
                ).scalar()
        except OperationalError as error:
            raise _refusal(self.url, str(error.orig)) from None
        if not is_migrated:
            raise _not_ready(self.url)

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()
        self._writing.dispose()


def open_database(url: str, *, pool_size: int = 8) -> Database:
    """A database that has answered once. Raises Misuse naming host, port and database, never the password."""
    database = Database(url, pool_size=pool_size)
    try:
        database.probe()
    except Misuse:
        database.close()
        raise
    return database


def begin_tenant(connection: psycopg.Connection[Any], tenant_id: str) -> None:
    """Set the tenant for the transaction that this statement begins (or the one already begun)."""
    connection.execute("SELECT set_config(%s, %s, true)", (TENANT_SETTING, tenant_id))


def database_url(text: str) -> URL:
    """`text` as an SQLAlchemy URL for psycopg 3; `postgres://` and `postgresql://` are understood.

    Raises Misuse `bad_database_url` without repeating any of the text: where its password ends is the question.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _unreadable("can't be parsed") from None
    if url.get_backend_name() not in {"postgres", "postgresql"}:
        raise _unreadable("names another database than PostgreSQL, the only one supported")
    if not is_unambiguous(text):
        raise _unreadable("can be read in more than one way")
    return url.set(drivername="postgresql+psycopg")


def _unreadable(why: str) -> Misuse:
    return Misuse("bad_database_url", f"The database URL {why}.", next_step=f"GTMC_DATABASE_URL {HOW_TO_WRITE}.")


def place_of(url: URL) -> str:
    """`host:port/database`, for messages."""
    return f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"


def unreachable(url: URL) -> Misuse:
    """The error for a database that doesn't answer."""
    return Misuse(
        "database_unreachable",
        f"PostgreSQL at {place_of(url)} can't be reached.",
        next_step="Start it (`gtmc up` starts an embedded one), or correct GTMC_DATABASE_URL.",
    )


def _unavailable(url: URL, error: Exception) -> Retry:
    cause = error.orig if isinstance(error, OperationalError) else error
    state = getattr(cause, "sqlstate", None)
    return Retry(
        "database_unavailable",
        f"PostgreSQL at {place_of(url)} dropped or refused the work{f' ({state})' if state else ''}.",
        next_step="It is tried again; if this lasts, `gtmc doctor` says more.",
    )


def _driver(connection: Any) -> psycopg.Connection[Any]:
    """psycopg's connection, as SQLAlchemy has it: itself, or in its adapter."""
    driver = getattr(connection, "driver_connection", connection)
    assert isinstance(driver, psycopg.Connection)
    return driver


def _refusal(url: URL, server_words: str) -> Misuse:
    pooler = poolers.told_by(server_words, place_of(url))
    if pooler is not None:
        return pooler
    return _not_ready(url) if APP_ROLE in server_words else unreachable(url)


def _not_ready(url: URL) -> Misuse:
    login = url.username or "this login"
    return Misuse(
        "database_not_ready",
        f"PostgreSQL at {place_of(url)} is not migrated, or {login} may not act as {APP_ROLE}.",
        next_step=f"Run `gtmc up`, or: GRANT {APP_ROLE}, {FLEET_ROLE}, {OPERATOR_ROLE}, {ERASER_ROLE} TO {login};",
    )
