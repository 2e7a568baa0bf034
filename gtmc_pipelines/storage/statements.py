"""Runs one SQL statement on either kind of connection: a pooled transaction or the write path's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed
from sqlalchemy import Connection

Handle = Connection | psycopg.Connection[Any]
"""A transaction that knows its tenant: from `Database.tenant`, or a raw connection after `begin_tenant`."""

Row = dict[str, Any]
Statement = LiteralString | Composed | SQL


def driver(handle: Handle) -> psycopg.Connection[Any]:
    """The psycopg connection behind a handle: the same session, the same transaction."""
    if isinstance(handle, psycopg.Connection):
        return handle
    connection = handle.connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


def rows(handle: Handle, statement: Statement, parameters: Mapping[str, Any] | None = None) -> list[Row]:
    """All rows as dictionaries. Parameters are written `%(name)s`."""
    with driver(handle).cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql(statement), parameters or {}).fetchall()


def row(handle: Handle, statement: Statement, parameters: Mapping[str, Any] | None = None) -> Row | None:
    """The first row, or None."""
    return next(iter(rows(handle, statement, parameters)), None)


def run(handle: Handle, statement: Statement, parameters: Mapping[str, Any] | None = None) -> int:
    """Run a statement that gives no rows; how many rows it touched."""
    with driver(handle).cursor() as cursor:
        return cursor.execute(_sql(statement), parameters or {}).rowcount


def _sql(statement: Statement) -> SQL | Composed:
    return SQL(statement) if isinstance(statement, str) else statement
