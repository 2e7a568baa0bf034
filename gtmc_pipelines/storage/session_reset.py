"""What a borrower of a pooled connection has set in its session ends with the loan.

`SET LOCAL` and `set_config(…, true)` end with their transaction. What somebody sets without them, the roles taken,
temporary tables, cursors, LISTEN, locks of the session and statements prepared in SQL would stay: all of it goes when
the connection is given back. DISCARD ALL would, too, and take the driver's own prepared statements with it.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import ExecStatus
from sqlalchemy.exc import InvalidatePoolError

# One message. RESET ALL leaves the role, and the end of a session authorization another one on some versions.
_RESET = b"""
SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES;
SELECT pg_catalog.pg_advisory_unlock_all(),
       EXISTS (SELECT FROM pg_catalog.pg_prepared_statement() AS s WHERE s.from_sql)
"""


def reset(connection: psycopg.Connection[Any]) -> None:
    """Leave the session as it was when it began; what is uncommitted is rolled back.

    Raises psycopg.OperationalError when that can't be done: then the pool closes the connection.
    """
    connection.rollback()
    done = connection.pgconn.exec_(_RESET)  # the driver's own way costs three times as much
    if done.status != ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError("the session can't be reset")
    if done.get_value(0, 1) == b"t":
        connection.execute("DEALLOCATE ALL")
        connection.commit()
    while connection.pgconn.notifies() is not None:
        pass


def require_alive(connection: psycopg.Connection[Any]) -> None:
    """Raise InvalidatePoolError, at which the pool makes new connections, when PostgreSQL doesn't answer on this."""
    if connection.closed or connection.pgconn.exec_(b"").status != ExecStatus.EMPTY_QUERY:
        raise InvalidatePoolError
