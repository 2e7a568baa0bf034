"""Write errors: whose fault a refusal of PostgreSQL is, told by its SQLSTATE and never by its words.

The server's message quotes data, so nothing of it is kept.
"""

from __future__ import annotations

import psycopg

from gtmc_pipelines.model.errors import Retry

_OF_ONE_RECORD = ("22", "54", "23502", "23514")  # data, program limits, not-null, check
_OF_THE_SERVER = ("08", "25006", "28", "3D", "53", "55P03", "57", "58")  # connection, read-only, login, disk, lock, end


def is_of_a_record(error: psycopg.Error) -> bool:
    """A value that PostgreSQL refuses: the same record would be refused again, its neighbours not."""
    return (error.sqlstate or "").startswith(_OF_ONE_RECORD)


def is_of_the_server(error: psycopg.Error, connection: psycopg.Connection[object]) -> bool:
    """The database is gone, full or closing: nothing is wrong with the data."""
    if error.sqlstate is None:
        return connection.closed or isinstance(error, psycopg.OperationalError)
    return connection.closed or error.sqlstate.startswith(_OF_THE_SERVER)


def describe(error: psycopg.Error) -> str:
    """What may be kept of an error: its SQLSTATE and its class."""
    return f"SQLSTATE {error.sqlstate or 'none'} ({type(error).__name__})"


def unreachable(error: psycopg.Error) -> Retry:
    """The error for a database that can't take writes now."""
    return Retry(
        "database_unreachable",
        f"PostgreSQL can't take writes now: {describe(error)}.",
        next_step="The sync goes on at its checkpoint when it answers again; see `gtmc doctor`.",
    )
