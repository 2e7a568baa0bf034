"""Brings a database to the newest schema: once, however many processes ask at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import OperationalError

from gtmc_pipelines.storage import poolers
from gtmc_pipelines.storage.engine import database_url, place_of, unreachable

_LOCK = 0x67746D63  # "gtmc": one migration at a time in a database
_one_in_a_process = Lock()  # alembic keeps its context in module globals


def migrate(url: str) -> str:
    """Create or upgrade every table, role and policy; gives the revision. A current database costs one query.

    The login must own the schema (or be a superuser) and be allowed to create roles.
    Raises Misuse `database_unreachable` or `database_pooler`.
    """
    config = _config()
    head = ScriptDirectory.from_config(config).get_current_head()
    assert head is not None
    with _login(url) as connection:
        if _revision(connection) == head:
            return head
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        config.attributes["connection"] = connection
        with _one_in_a_process:
            command.upgrade(config, "head")
        connection.commit()
    return head


def current_revision(url: str) -> str | None:
    """The revision a database is at; None when it was never migrated. Raises as `migrate` does."""
    with _login(url) as connection:
        return _revision(connection)


@contextmanager
def _login(url: str) -> Iterator[Connection]:
    """A connection as the login itself, not as the app role."""
    engine = create_engine(database_url(url), poolclass=NullPool, connect_args={"connect_timeout": 10})
    try:
        connection = engine.connect()
    except OperationalError as error:
        raise poolers.told_by(str(error.orig), place_of(engine.url)) or unreachable(engine.url) from None
    with connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        args, options = engine.dialect.create_connect_args(engine.url)
        poolers.require_own_session(
            driver, place_of(engine.url), lambda: psycopg.connect(*args, **options, connect_timeout=10)
        )
        yield connection


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config
