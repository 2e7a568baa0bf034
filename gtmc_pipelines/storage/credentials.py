"""A connector's credentials: sealed in its row, renewed by one caller at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.errors import Misuse, Retry
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run
from gtmc_pipelines.vault.keyring import KeyRing, SealContext
from gtmc_pipelines.vault.secret import Secret

Credentials = Mapping[str, Secret]
"""Opened secrets of one connector by name."""

_NO_TOKEN = Secret("")
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('gtmc.credentials:' || %(tenant_id)s || ':' || %(id)s, 0))"
_READ = "SELECT config -> 'secrets' AS secrets FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s"
_WRITE = """
UPDATE connectors SET config = jsonb_set(config, '{secrets}', %(secrets)s), version = version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""

# One thread of a process asks PostgreSQL for a connector's lock at a time; the others wait here,
# where waiting holds no connection.
_waiting: dict[tuple[str, str], threading.Lock] = {}
_waiting_guard = threading.Lock()


class StoredCredentials:
    """Reads and keeps the credentials of one connector. Safe to share between threads and processes.

    Values are sealed for their place (tenant, connector, name) and opened only here. It fits the
    connectors' `CredentialSource`.
    """

    def __init__(self, database: Database, keyring: KeyRing, tenant_id: str, connector_id: str) -> None:
        self._database = database
        self._keyring = keyring
        self._tenant_id = tenant_id
        self._connector_id = connector_id
        self._key = {"tenant_id": tenant_id, "id": connector_id}

    def __repr__(self) -> str:
        return f"StoredCredentials({self._tenant_id}, {self._connector_id})"

    def read(self) -> Credentials:
        """The credentials as they are stored now; empty when the connector isn't authenticated.

        Raises Misuse `unknown_connector`, or the vault's Broken when a seal doesn't open.
        """
        with self._database.tenant(self._tenant_id) as connection:
            return self._opened(connection)

    def save(self, credentials: Credentials) -> None:
        """Replace all credentials."""
        with self._locked() as connection:
            self._store(connection, credentials)

    def clear(self) -> None:
        """Forget all credentials."""
        self.save({})

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        """Replace credentials whose `access_token` is `stale`, exactly once however many callers ask.

        Whoever comes first calls `exchange` with the current ones while the others wait, and what it gives,
        merged over the current, is committed before anyone sees it. The others get the winner's. If
        `exchange` raises, nothing changes and the next in line tries.
        """
        renewed: Credentials | None = None
        try:
            with self._locked() as connection:
                current = self._opened(connection)
                if current.get("access_token", _NO_TOKEN) != stale:
                    return current
                renewed = {**current, **exchange(current)}
                self._store(connection, renewed)
                self._audit_renewal(connection)
        except Retry:
            if renewed is None:
                raise
            # The vendor has taken back the old refresh token: the new one must not be lost to a dropped connection.
            with self._locked() as connection:
                self._store(connection, renewed)
                self._audit_renewal(connection)
        return renewed

    @contextmanager
    def _locked(self) -> Iterator[Handle]:
        """A transaction that holds the connector's lock to its end."""
        key = (self._tenant_id, self._connector_id)
        with _waiting_guard:
            turn = _waiting.setdefault(key, threading.Lock())
        with turn, self._database.tenant(self._tenant_id) as connection:
            rows(connection, _LOCK, self._key)
            yield connection

    def _opened(self, handle: Handle) -> dict[str, Secret]:
        found = row(handle, _READ, self._key)
        if found is None:
            raise self._unknown()
        sealed: dict[str, Any] = found["secrets"] or {}
        return {name: self._keyring.open(text, self._place(name)) for name, text in sealed.items()}

    def _store(self, handle: Handle, credentials: Credentials) -> None:
        sealed = {name: self._keyring.seal(value.reveal(), self._place(name)) for name, value in credentials.items()}
        if run(handle, _WRITE, {**self._key, "secrets": Jsonb(sealed)}) == 0:
            raise self._unknown()

    def _audit_renewal(self, handle: Handle) -> None:
        audit.record(
            handle,
            self._tenant_id,
            actor="worker",
            action="connector.renew_token",
            resource="connector",
            resource_id=self._connector_id,
        )

    def _place(self, name: str) -> SealContext:
        return SealContext(self._tenant_id, self._connector_id, name)

    def _unknown(self) -> Misuse:
        return Misuse(
            "unknown_connector",
            f"Tenant {self._tenant_id} has no connector {self._connector_id[:80]!r}.",
            next_step="List them with `gtmc connectors list`.",
        )
