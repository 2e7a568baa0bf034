"""The audit log: append-only, one hash chain a tenant, so that an altered or missing row shows.

Each row's hash covers its own words and the hash of the row before; a trigger computes it, with time and place, and
whatever an INSERT says of them is not stored. Where a chain ends and how long it is stands in
`audit_heads`, which a trigger writes and no role of ours can. The owner of the schema can forge both: whoever needs
proof against them keeps length and head (`verify_chain` gives them) elsewhere.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, rows, run

# jsonb prints its keys in one fixed order, so the hashed text doesn't depend on who wrote it.
_HASHED = """sha256({before} || convert_to(jsonb_build_array(
    {row}.id, {row}.tenant_id, {row}.user_id, {row}.action, {row}.resource, {row}.resource_id, {row}.changes,
    {row}.metadata, extract(epoch FROM {row}.created_at))::text, 'UTF8'))"""

_APPEND = """
INSERT INTO audit_log (id, tenant_id, user_id, action, resource, resource_id, changes, metadata)
VALUES (%(id)s, %(tenant_id)s, %(user_id)s, %(action)s, %(resource)s, %(resource_id)s, %(changes)s, %(metadata)s)
"""

_VERIFY = f"""
SELECT a.id, a.hash, h.length, h.head, h.written_at,
       a.prev_hash = lag(a.hash, 1, coalesce(h.start, ''::bytea)) OVER (ORDER BY a.position)
       AND a.hash = {_HASHED.format(before="a.prev_hash", row="a")} AS is_sound
  FROM (SELECT * FROM audit_heads WHERE tenant_id = %(tenant_id)s) h
  FULL JOIN (SELECT * FROM audit_log WHERE tenant_id = %(tenant_id)s) a ON a.tenant_id = h.tenant_id
 ORDER BY a.position
"""  # noqa: S608 - constants only


_TENANTS = "SELECT tenant_id FROM audit_heads ORDER BY tenant_id"


@dataclass(frozen=True, slots=True)
class Chain:
    """What verification found: how many rows there are and were written, the newest hash, and what doesn't fit.

    `broken_at` is the id of the first row that doesn't fit. `cut_after` is the id of the newest row there is, when
    those written after it are missing; empty when all are. `written_at` is when the newest row was written.
    """

    length: int
    written: int
    head: str
    written_at: datetime | None = None
    broken_at: str | None = None
    cut_after: str | None = None

    @property
    def is_sound(self) -> bool:
        """True when every row fits the one before, and the newest one written is there."""
        return self.broken_at is None and self.cut_after is None

    @property
    def missing(self) -> int:
        """Rows that were written and aren't there."""
        return max(0, self.written - self.length)


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
    run(handle, _APPEND, entry)
    return str(entry["id"])


def verify_chain(handle: Handle, tenant_id: str) -> Chain:
    """Recompute every hash of a tenant's chain, and compare its length and end with what was written."""
    found = rows(handle, _VERIFY, {"tenant_id": tenant_id})
    entries = [entry for entry in found if entry["id"] is not None]
    written, end = (found[0]["length"] or 0, bytes(found[0]["head"] or b"")) if found else (0, b"")
    head = bytes(entries[-1]["hash"]) if entries else b""
    broken = next((str(entry["id"]) for entry in entries if not entry["is_sound"]), None)
    cut = None
    if broken is None and len(entries) < written:
        cut = str(entries[-1]["id"]) if entries else ""
    elif broken is None and (len(entries), head) != (written, end):
        broken = str(entries[min(written, len(entries) - 1)]["id"])
    return Chain(len(entries), written, head.hex(), found[0]["written_at"] if found else None, broken, cut)


def tenants_with_log(database: Database) -> list[str]:
    """Ids of all tenants that ever had a row in the log, removed ones too."""
    with database.fleet() as connection:
        return [str(found["tenant_id"]) for found in rows(connection, _TENANTS)]


def forget(handle: Handle, tenant_id: str) -> int:
    """Delete all rows but the newest of a tenant that is gone; gives how many. The newest must be `tenant.remove`.

    For the eraser; the database refuses it otherwise.
    """
    (found,) = rows(handle, "SELECT audit_forget(%(tenant_id)s) AS gone", {"tenant_id": tenant_id})
    return int(found["gone"])
