"""The audit log: append-only, one hash chain a tenant, so that an altered or missing row shows.

Each row's hash covers its own words and the hash of the row before. The chain can't show that its
newest rows were cut off; whoever needs that keeps the head (`verify_chain` gives it) elsewhere.
"""

# ruff: noqa: S608 - statements are put together from constants of this module, values are parameters

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.storage.statements import Handle, rows, run

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('gtmc.audit:' || %(tenant_id)s, 0))"

# jsonb prints its keys in one fixed order, so the hashed text doesn't depend on who wrote it.
_HASHED = """sha256({before} || convert_to(jsonb_build_array(
    {row}.id, {row}.tenant_id, {row}.user_id, {row}.action, {row}.resource, {row}.resource_id, {row}.changes,
    {row}.metadata, extract(epoch FROM {row}.created_at))::text, 'UTF8'))"""

_APPEND = f"""
WITH entry AS (
    SELECT %(id)s AS id, %(tenant_id)s AS tenant_id, %(user_id)s AS user_id, %(action)s AS action,
           %(resource)s AS resource, %(resource_id)s::text AS resource_id, %(changes)s::jsonb AS changes,
           %(metadata)s::jsonb AS metadata, clock_timestamp() AS created_at),
last AS (
    SELECT coalesce((SELECT hash FROM audit_log WHERE tenant_id = %(tenant_id)s ORDER BY position DESC LIMIT 1),
                    ''::bytea) AS hash)
INSERT INTO audit_log (id, tenant_id, user_id, action, resource, resource_id, changes, metadata, created_at,
                       prev_hash, hash)
SELECT entry.*, last.hash, {_HASHED.format(before="last.hash", row="entry")} FROM entry, last
"""

_VERIFY = f"""
SELECT a.id, a.hash,
       a.prev_hash = lag(a.hash, 1, ''::bytea) OVER (ORDER BY a.position)
       AND a.hash = {_HASHED.format(before="a.prev_hash", row="a")} AS is_sound
  FROM audit_log a WHERE a.tenant_id = %(tenant_id)s ORDER BY a.position
"""


@dataclass(frozen=True, slots=True)
class Chain:
    """What verification found: how many rows, the newest hash, and the id of the first row that doesn't fit."""

    length: int
    head: str
    broken_at: str | None

    @property
    def is_sound(self) -> bool:
        """True when every row fits the one before."""
        return self.broken_at is None


def record(
    handle: Handle,
    tenant_id: str,
    *,
    actor: str,
    action: str,
    resource: str,
    resource_id: str | None = None,
    changes: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Append one row in the caller's transaction; gives its id.

    `changes` holds names and plain values, never a secret or a person's data. Rows of one tenant are
    written one after the other: the lock is held until the transaction ends.
    """
    entry = {
        "id": str(uuid.uuid4()),
        "tenant_id": tenant_id,
        "user_id": actor,
        "action": action,
        "resource": resource,
        "resource_id": resource_id,
        "changes": Jsonb(dict(changes or {})),
        "metadata": Jsonb(dict(metadata or {})),
    }
    rows(handle, _LOCK, {"tenant_id": tenant_id})
    run(handle, _APPEND, entry)
    return str(entry["id"])


def verify_chain(handle: Handle, tenant_id: str) -> Chain:
    """Recompute every hash of a tenant's chain."""
    found = rows(handle, _VERIFY, {"tenant_id": tenant_id})
    broken = next((str(entry["id"]) for entry in found if not entry["is_sound"]), None)
    return Chain(len(found), bytes(found[-1]["hash"]).hex() if found else "", broken)
