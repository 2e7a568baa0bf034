"""A connector's credentials: sealed in its row, renewed by one caller at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.errors import Misuse, Reauthorize, Retry
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
UPDATE connectors
   SET config = jsonb_set(config - 'refused', '{secrets}', %(secrets)s), version = version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""

# What a vendor's last word on these credentials was, for those who ask in the same breath.
_NOTE_REFUSAL = """
UPDATE connectors
   SET config = jsonb_set(config, '{refused}', %(refused)s || jsonb_build_object('at', clock_timestamp())),
       version = version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
"""
_REFUSED_JUST_NOW = """
SELECT config -> 'refused' AS refused FROM connectors
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s
   AND (config #>> '{refused,at}')::timestamptz > clock_timestamp() - make_interval(secs => %(seconds)s)
"""
_REFUSAL_HOLDS_SECONDS = 30.0

# A running sync sets the status itself when it ends.
_SET_ERROR = """
WITH before AS (SELECT status FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(id)s)
UPDATE connectors
   SET status = 'error', error_code = %(code)s, error_kind = 'reauthorize', last_sync_error = %(error)s
 WHERE tenant_id = %(tenant_id)s AND id = %(id)s AND status IN ('connected', 'error')
RETURNING (SELECT status FROM before) AS before
"""

# One thread of a process asks PostgreSQL for a connector's lock at a time; the others wait here,
# where waiting holds no connection.
_waiting: dict[tuple[str, str], threading.Lock] = {}
_waiting_guard = threading.Lock()


class StoredCredentials:
    """Reads and keeps the credentials of one connector. Safe to share between threads and processes.

    Values are sealed for their place (tenant, connector, name) and opened only here. It fits the
    connectors' `CredentialSource`. `actor` is who the audit log names for a renewal.
    """

    def __init__(
        self, database: Database, keyring: KeyRing, tenant_id: str, connector_id: str, *, actor: str = "worker"
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._tenant_id = tenant_id
        self._connector_id = connector_id
        self._actor = actor
        self._key = {"tenant_id": tenant_id, "id": connector_id}

    def __repr__(self) -> str:
        return f"StoredCredentials({self._tenant_id}, {self._connector_id})"

    def read(self) -> Credentials:
        """The credentials as they are stored now; empty when the connector isn't authenticated.

        Raises Misuse `unknown_connector`, or the vault's Broken when a seal doesn't open.
        """
        with self._database.tenant(self._tenant_id) as connection:
            return self.opened(connection)

    def save(self, credentials: Credentials) -> None:
        """Replace all credentials."""
        with self.alone() as connection:
            self.store(connection, credentials)

    def clear(self) -> None:
        """Forget all credentials."""
        self.save({})

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        """Replace credentials whose `access_token` is `stale`, exactly once however many callers ask.

        Whoever comes first calls `exchange` with the current ones while the others wait, in this process or
        another; what it gives, merged over the current, is committed before anyone sees it. The others get
        the winner's. If `exchange` raises Reauthorize, the connector is on `error` and for half a minute
        everybody else is told the same without a call; after anything else it raises, the next in line tries.
        """
        renewed: Credentials | None = None
        refusal: Reauthorize | None = None
        try:
            with self.alone() as connection:
                current = self.opened(connection)
                if not _is(stale, current):
                    return current
                self._refuse_again(connection)
                try:
                    renewed = {**current, **exchange(current)}
                    self._keep(connection, renewed)
                except Reauthorize as refused:
                    self._note_refusal(connection, refusal := refused)
        except Retry:
            if renewed is None:
                raise
            # The vendor has taken back the old refresh token: the new one must not be lost to a dropped connection.
            with self.alone() as connection:
                current = self.opened(connection)
                if not _is(stale, current):  # the commit came through after all, or somebody was faster
                    return current
                self._keep(connection, renewed)
        if renewed is None:
            assert refusal is not None
            raise refusal
        return renewed

    @contextmanager
    def alone(self) -> Iterator[Handle]:
        """A transaction in which nobody else renews or replaces the credentials; one under way is waited for."""
        key = (self._tenant_id, self._connector_id)
        with _waiting_guard:
            turn = _waiting.setdefault(key, threading.Lock())
        with turn, self._database.tenant(self._tenant_id) as connection:
            lock(connection, self._tenant_id, self._connector_id)
            yield connection

    def opened(self, handle: Handle) -> dict[str, Secret]:
        """What `read` gives, in the caller's transaction."""
        found = row(handle, _READ, self._key)
        if found is None:
            raise self._unknown()
        sealed: dict[str, Any] = found["secrets"] or {}
        return {name: self._keyring.open(text, self._place(name)) for name, text in sealed.items()}

    def store(self, handle: Handle, credentials: Credentials) -> None:
        """What `save` does, in the caller's transaction, which is to be one of `alone`."""
        sealed = {name: self._keyring.seal(value.reveal(), self._place(name)) for name, value in credentials.items()}
        if run(handle, _WRITE, {**self._key, "secrets": Jsonb(sealed)}) == 0:
            raise self._unknown()

    def _keep(self, handle: Handle, renewed: Credentials) -> None:
        self.store(handle, renewed)
        self._audit(handle, "connector.renew_token", {})

    def _note_refusal(self, handle: Handle, refused: Reauthorize) -> None:
        words = {"code": refused.code, "sentence": refused.sentence, "next_step": refused.next_step}
        run(handle, _NOTE_REFUSAL, {**self._key, "refused": Jsonb(words)})
        found = row(handle, _SET_ERROR, {**self._key, "code": refused.code, "error": str(refused)})
        changes: dict[str, Any] = {"after": {"error_code": refused.code}}
        if found is not None:
            changes = {"before": {"status": found["before"]}, "after": {"status": "error", **changes["after"]}}
        self._audit(handle, "connector.token_refused", changes)

    def _refuse_again(self, handle: Handle) -> None:
        """Raise what the vendor said a moment ago about these very credentials."""
        found = row(handle, _REFUSED_JUST_NOW, {**self._key, "seconds": _REFUSAL_HOLDS_SECONDS})
        if found is not None:
            words = found["refused"]
            raise Reauthorize(words["code"], words["sentence"], next_step=words["next_step"])

    def _audit(self, handle: Handle, action: str, changes: Mapping[str, Any]) -> None:
        audit.record(
            handle,
            self._tenant_id,
            actor=self._actor,
            action=action,
            resource="connector",
            resource_id=self._connector_id,
            changes=changes,
        )

    def _place(self, name: str) -> SealContext:
        return SealContext(self._tenant_id, self._connector_id, name)

    def _unknown(self) -> Misuse:
        return Misuse(
            "unknown_connector",
            f"Tenant {self._tenant_id} has no connector {self._connector_id[:80]!r}.",
            next_step="List them with `gtmc connectors list`.",
        )


def lock(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """Keep everybody else from renewing or replacing a connector's credentials until the transaction ends.

    Where other locks are needed too, this is the first.
    """
    rows(handle, _LOCK, {"tenant_id": tenant_id, "id": connector_id})


def _is(stale: Secret, current: Credentials) -> bool:
    """Whether the credentials are still those that don't work any more."""
    return current.get("access_token", _NO_TOKEN) == stale
