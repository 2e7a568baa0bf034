"""Key rotation: seals every stored secret again with the active key, online, and counts what names which key.

What is left to do is read from the secrets themselves, so a rotation that was killed goes on by being
started again. A connector's secrets are replaced only while they are still what was read: a token
that is renewed meanwhile wins, and is looked at once more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.errors import Broken, Misuse, Retry
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, Row, rows
from gtmc_pipelines.vault.keyring import KeyRing, SealContext, SealedBy

BATCH = 200
"""Connectors sealed again in one transaction."""

_ROUNDS = 5

_READ = """
SELECT id, type, config -> 'secrets' AS secrets
  FROM connectors
 WHERE tenant_id = %(tenant_id)s AND coalesce(config -> 'secrets', '{}') <> '{}'
 UNION ALL
SELECT 'erasure', 'erasure', jsonb_build_object('tombstone_key', sealed)
  FROM erasure_keys
 WHERE tenant_id = %(tenant_id)s
 ORDER BY id
"""

# The sealed texts stand for a version of their own: a fresh nonce makes every renewal differ. (The
# row's version also grows with each change of status, and those needn't disturb a rotation.)
_REPLACE = """
UPDATE connectors AS c
   SET config = jsonb_set(c.config, '{secrets}', r.after), version = c.version + 1, updated_at = now()
  FROM jsonb_to_recordset(%(changes)s) AS r(id text, before jsonb, after jsonb)
 WHERE c.tenant_id = %(tenant_id)s AND c.id = r.id AND c.config -> 'secrets' = r.before
RETURNING c.id
"""

# The key of the tombstones is sealed like a credential of a connector named `erasure` (storage.tombstones).
_REPLACE_TOMBSTONE_KEY = """
UPDATE erasure_keys
   SET sealed = %(after)s
 WHERE tenant_id = %(tenant_id)s AND sealed = %(before)s
RETURNING 'erasure' AS id
"""


@dataclass(frozen=True, slots=True, order=True)
class Unopened:
    """A stored secret that doesn't open: where it is and why, never what it holds."""

    tenant_id: str
    connector: str
    field: str
    code: str


@dataclass(slots=True)
class Census:
    """How many stored secrets there are by format and key id, and those that don't open."""

    sealed: Counter[SealedBy] = field(default_factory=Counter)
    unopened: list[Unopened] = field(default_factory=list)

    def add(self, other: Census) -> None:
        """Take in another count."""
        self.sealed += other.sealed
        self.unopened += other.unopened

    def left(self, ring: KeyRing) -> int:
        """Secrets that are not sealed as the ring seals now."""
        return self.sealed.total() - self.sealed[ring.writes] + len(self.unopened)


@dataclass(frozen=True, slots=True)
class Resealed:
    """What one tenant's turn came to."""

    connectors: int = 0
    secrets: int = 0


def take_census(database: Database, ring: KeyRing, tenant_id: str) -> Census:
    """Open every stored secret of a tenant and count it by the key that sealed it. Nothing is changed."""
    census = Census()
    with database.tenant(tenant_id) as handle:
        found = rows(handle, _READ, {"tenant_id": tenant_id})
    for connector in found:
        for name, text in connector["secrets"].items():
            sealed_by = _opened(ring, tenant_id, connector, name, text)
            if isinstance(sealed_by, Unopened):
                census.unopened.append(sealed_by)
            else:
                census.sealed[sealed_by] += 1
    return census


def reseal(database: Database, ring: KeyRing, tenant_id: str, *, actor: str) -> Resealed:
    """Seal a tenant's secrets again where their format or key isn't the active one.

    Secrets that don't open are left as they are: `take_census` names them. Raises Retry when
    PostgreSQL stays away.
    """
    connectors = secrets = 0
    for turn in range(1, _ROUNDS + 1):
        try:
            done, is_complete = _round(database, ring, tenant_id, actor)
        except Retry:
            if turn == _ROUNDS:
                raise
            continue
        connectors, secrets = connectors + done.connectors, secrets + done.secrets
        if is_complete:
            break
    return Resealed(connectors, secrets)


def _round(database: Database, ring: KeyRing, tenant_id: str, actor: str) -> tuple[Resealed, bool]:
    """One pass over the tenant; the second value is False when some secrets were renewed under it."""
    with database.tenant(tenant_id) as handle:
        found = rows(handle, _READ, {"tenant_id": tenant_id})
    work = [(connector["id"], change) for connector in found if (change := _change(ring, tenant_id, connector))]
    connectors = secrets = 0
    for start in range(0, len(work), BATCH):
        batch = dict(work[start : start + BATCH])
        with database.tenant(tenant_id) as handle:
            done = _replace(handle, tenant_id, batch)
            count = sum(batch[connector_id].secrets for connector_id in done)
            if done:
                _audit(handle, tenant_id, ring, actor, len(done), count)
        connectors, secrets = connectors + len(done), secrets + count
    return Resealed(connectors, secrets), connectors == len(work)


@dataclass(frozen=True, slots=True)
class _Change:
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    secrets: int


def _change(ring: KeyRing, tenant_id: str, connector: Row) -> _Change | None:
    """The connector's secrets with those sealed again that need it; None when none does."""
    renewed = {}
    for name, text in connector["secrets"].items():
        if isinstance(_opened(ring, tenant_id, connector, name, text), Unopened) or not ring.needs_reseal(text):
            continue
        place = SealContext(tenant_id, connector["id"], name)
        renewed[name] = ring.seal(ring.open(text, place).reveal(), place)
    return _Change(connector["secrets"], {**connector["secrets"], **renewed}, len(renewed)) if renewed else None


def _opened(ring: KeyRing, tenant_id: str, connector: Row, name: str, text: Any) -> SealedBy | Unopened:
    """How a secret that opens was sealed, or where one is that doesn't."""
    try:
        if not isinstance(text, str):
            return Unopened(tenant_id, connector["type"], name, "not_sealed")
        ring.open(text, SealContext(tenant_id, connector["id"], name))
        return ring.sealed_by(text)
    except (Broken, Misuse) as error:
        return Unopened(tenant_id, connector["type"], name, error.code)


def _replace(handle: Handle, tenant_id: str, batch: Mapping[str, _Change]) -> list[str]:
    """Ids of those that were still what was read, and are sealed again now."""
    changes = [{"id": key, "before": change.before, "after": change.after} for key, change in batch.items()]
    done = rows(handle, _REPLACE, {"tenant_id": tenant_id, "changes": Jsonb(changes)})
    if erasure := batch.get("erasure"):
        texts = {"before": erasure.before["tombstone_key"], "after": erasure.after["tombstone_key"]}
        done += rows(handle, _REPLACE_TOMBSTONE_KEY, {"tenant_id": tenant_id, **texts})
    return [found["id"] for found in done]


def _audit(handle: Handle, tenant_id: str, ring: KeyRing, actor: str, connectors: int, secrets: int) -> None:
    audit.record(
        handle,
        tenant_id,
        actor=actor,
        action="keys.rotate",
        resource="connector",
        changes={"connectors": connectors, "secrets": secrets, "sealed_by": ring.writes.key_id},
    )
