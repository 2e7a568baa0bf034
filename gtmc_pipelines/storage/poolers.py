"""Connection poolers: told from PostgreSQL by what they refuse, and by what they do with a session.

Our sessions are set up when they start (role, time zone, dates) and keep temporary tables from one transaction to the
next. A pooler in transaction mode hands each transaction to whatever session of the server is free. PgBouncer refuses
the start-up parameter `options`, or with `ignore_startup_parameters` passes it over in silence: a session would then
act as the login itself, whom row-level security may not bind. Amazon's RDS Proxy refuses it in words of its own.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg

from gtmc_pipelines.model.errors import Misuse

_OPTIONS_REFUSED = ("unsupported startup parameter", "unsupported options startup parameter", "command-line options")
_STATEMENTS_ONLY = "statement pooling mode"
_PROCESS = b"SELECT pg_backend_pid()"
_SETUP = "SELECT current_user, current_setting('TimeZone')"
_ANSWER_SECONDS = 5.0  # a pooler in session mode with no session left lets another connection wait


def told_by(server_words: str, place: str) -> Misuse | None:
    """The error `database_pooler` when the server's words at connecting are a pooler's, which doesn't serve us."""
    words = server_words.lower()
    if any(refusal in words for refusal in _OPTIONS_REFUSED):
        return _pooler(place, "it refuses the options a session starts with, as those in transaction mode do")
    return _pooler(place, "it is in statement mode and allows no transaction") if _STATEMENTS_ONLY in words else None


def require_setup(connection: psycopg.Connection[Any], place: str, role: str) -> None:
    """Prove that a new session acts as `role` and in UTC, which its start-up options asked for. One round trip.

    Raises Misuse `database_pooler` where they were passed over; such a connection is closed.
    """
    try:
        connection.autocommit = True  # a transaction around it would cost two round trips more
        found = connection.execute(_SETUP).fetchone()
        connection.autocommit = False
        if found != (role, "UTC"):
            raise _pooler(place, "it passes over the options a session starts with, as those in transaction mode do")
    except Exception:
        connection.close()
        raise


def require_own_session(
    connection: psycopg.Connection[Any], place: str, connect: Callable[[], psycopg.Connection[Any]]
) -> None:
    """Prove that the server keeps a session for an idle `connection`. One round trip where no pooler is.

    A pooler has to invent the process that is named when a connection starts. Where it isn't the one that answers,
    another connection is opened: in transaction mode the session that served the first, idle now, serves it, too.
    Raises Misuse `database_pooler`. One in session mode passes.
    """
    served = _process(connection)
    if served == connection.info.backend_pid:
        return
    with closing(connect()) as another:
        is_shared = _process(another, _ANSWER_SECONDS) == served or _process(connection, _ANSWER_SECONDS) != served
    if is_shared:
        raise _pooler(place, "it is in transaction mode, one session of the server serves several connections")


def _pooler(place: str, evidence: str) -> Misuse:
    return Misuse(
        "database_pooler",
        f"The database URL points at a connection pooler ({place}), not at PostgreSQL: {evidence}.",
        next_step="Set GTMC_DATABASE_URL (and GTMC_OWNER_DATABASE_URL) to PostgreSQL's direct address.",
    )


def _process(connection: psycopg.Connection[Any], within_seconds: float | None = None) -> int | None:
    """The server's process that serves an idle connection now; None when none does in time, which leaves it busy."""
    session = connection.pgconn
    session.send_query(_PROCESS)
    found = None
    while True:
        while session.is_busy():  # `get_result` would wait for the rest without letting other threads run
            if not select.select([session.socket], [], [], within_seconds)[0]:
                return None
            session.consume_input()
        result = session.get_result()
        if result is None:
            return int(found) if found else None
        found = result.get_value(0, 0) if result.ntuples else found
