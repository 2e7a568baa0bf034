"""What attacks are made on: a migrated PostgreSQL, started when the first attack wants it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from sqlalchemy import make_url

from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.logins import ensure_login
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.storage.tenants import add_tenant

LOGIN, PASSWORD = "attack_login", "attack-login-password"


class Stage:
    """Lends the services; `owner_url` gives those of a running suite, else a server is started in `home`."""

    def __init__(self, home: Path, owner_url: str | None = None) -> None:
        self._home = home
        self._given_url = owner_url
        self._ends: list[Callable[[], None]] = []

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        for end in reversed(self._ends):
            end()

    @cached_property
    def owner_url(self) -> str:
        """The superuser's URL of the migrated database."""
        url = self._given_url or self._started()
        migrate(url)
        return url

    @contextmanager
    def owner(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection of the superuser, each statement its own transaction."""
        url = make_url(self.owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    @cached_property
    def worker_url(self) -> str:
        """The URL of a login as the worker has it: owns nothing, may act as our roles."""
        url = make_url(self.owner_url).set(username=LOGIN, password=PASSWORD, query={})
        text = url.render_as_string(hide_password=False)
        ensure_login(self.owner_url, text)
        return text

    @cached_property
    def database(self) -> Database:
        """The database as the worker opens it."""
        opened = open_database(self.worker_url)
        self._ends.append(opened.close)
        return opened

    def new_tenant(self, word: str) -> str:
        """Id of a tenant that nobody else has."""
        tenant = f"{word}-{uuid.uuid4().hex[:12]}"
        add_tenant(self.database, tenant)
        return tenant

    def _started(self) -> str:
        self._home.chmod(0o755)  # the server may run as another account
        server = EmbeddedPostgres(self._home / "postgres", port=free_port())
        self._ends.append(server.stop)
        server.start()
        server.ensure_database("attack")
        return server.url("attack")
