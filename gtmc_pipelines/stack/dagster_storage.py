"""Where Dagster keeps its own tables: a database `dagster` beside ours, its schema made before its processes start."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.postgres import client_program
from gtmc_pipelines.stack.process import ChildSpec

DATABASE = "dagster"
_LIBPQ = {"passfile": "PGPASSFILE", "sslmode": "PGSSLMODE", "host": "PGHOST", "port": "PGPORT"}


def url_beside(database_url: str) -> str:
    """Dagster's URL on the server of `database_url`, with psycopg2 named as Dagster needs it."""
    parts = urlsplit(database_url)
    return urlunsplit(("postgresql+psycopg2", parts.netloc, f"/{DATABASE}", parts.query, ""))


def create_beside(database_url: str) -> None:
    """Create the database `dagster` on the user's own server unless it exists.

    Raises Misuse that asks for DAGSTER_PG_URL when the server doesn't let us.
    """
    parts = urlsplit(database_url)
    options = {_LIBPQ[name]: value for name, value in parse_qsl(parts.query) if name in _LIBPQ}
    done = subprocess.run(  # noqa: S603  fixed program, no shell
        [client_program("createdb"), "--maintenance-db", parts.path.lstrip("/") or "postgres", DATABASE],
        env=child_environment(
            {
                "PGHOST": parts.hostname or "127.0.0.1",
                "PGPORT": str(parts.port or 5432),
                "PGUSER": unquote(parts.username or "postgres"),
                "PGPASSWORD": unquote(parts.password or ""),
                **options,
            }
        ),
        capture_output=True,
        check=False,
    )
    if done.returncode != 0 and b"already exists" not in done.stderr:
        raise Misuse(
            "dagster_database_missing",
            f"The database {DATABASE} for Dagster's own tables could not be created beside GTMC_DATABASE_URL.",
            next_step="Create it, or set DAGSTER_PG_URL to postgresql+psycopg2://user:password@host:port/database.",
        )


class DagsterSchema:
    """Dagster's tables. Its processes would each create them at the same moment, and some would fail."""

    def __init__(self, dagster_home: Path, log_file: Path) -> None:
        self._marker = dagster_home / "schema"
        self._log_file = log_file

    def is_current(self, environment: Mapping[str, str]) -> bool:
        """Whether this version of Dagster has made or migrated the tables of this database."""
        return self._marker.exists() and self._marker.read_text() == _fingerprint(environment)

    def mark_current(self, environment: Mapping[str, str]) -> None:
        """Remember that it has."""
        self._marker.write_text(_fingerprint(environment))

    def spec(self, environment: Mapping[str, str]) -> ChildSpec:
        """The program that makes or migrates them."""
        return ChildSpec(
            name="Dagster storage",
            command=[sys.executable, "-m", "dagster", "instance", "migrate"],
            log_file=self._log_file,
            environment=environment,
            gives_up_rights=True,
        )


def _fingerprint(environment: Mapping[str, str]) -> str:
    url = hashlib.sha256(environment["DAGSTER_PG_URL"].encode()).hexdigest()[:16]
    return f"{version('dagster')} {url}"
