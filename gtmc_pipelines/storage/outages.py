"""Outages: telling a database that is gone from a statement that is wrong, for callers of `Database`."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gtmc_pipelines.model.errors import Retry


def outage_in(error: BaseException) -> Retry | None:
    """Retry `database_unreachable` when `error` means that PostgreSQL is gone, full or closing; else None.

    Nothing of the server's message is kept: it may quote data.
    """
    if isinstance(error, DBAPIError):
        error = error.orig if isinstance(error.orig, BaseException) else error
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | PoolTimeout):
        return Retry(
            "database_unreachable",
            f"PostgreSQL doesn't answer ({type(error).__name__}).",
            next_step="The sync goes on at its checkpoint when it answers again; see `gtmc doctor`.",
        )
    return None
