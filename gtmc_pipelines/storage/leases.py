"""The lease that lets one sync of a connector run at a time, with a fencing token (reference/temporal.md).

The workflow takes it in its first activity, every batch asserts the token in its own transaction,
and the last activity releases it together with status and cursor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines.storage.statements import Handle, row, run

_TAKE = """
INSERT INTO connector_leases AS l (tenant_id, connector_id, owner_run, owner_workflow, owner_namespace, token)
VALUES (%(tenant_id)s, %(connector_id)s, %(run)s, %(workflow)s, %(namespace)s, 1)
ON CONFLICT (tenant_id, connector_id) DO UPDATE
   SET token = l.token + (l.owner_run IS DISTINCT FROM excluded.owner_run)::int,
       acquired_at = CASE WHEN l.owner_run = excluded.owner_run THEN l.acquired_at ELSE now() END,
       owner_run = excluded.owner_run, owner_workflow = excluded.owner_workflow,
       owner_namespace = excluded.owner_namespace
 WHERE l.owner_run IS NULL OR l.owner_run = excluded.owner_run OR l.owner_run = %(dead_run)s
RETURNING token
"""
_HOLDER = """
SELECT owner_run, owner_workflow, owner_namespace, token, acquired_at FROM connector_leases
 WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s AND owner_run IS NOT NULL
"""
# An insert, so that it also waits for a lease that is being taken for the first time.
_REVOKE = """
INSERT INTO connector_leases AS l (tenant_id, connector_id, token) VALUES (%(tenant_id)s, %(connector_id)s, 1)
ON CONFLICT (tenant_id, connector_id) DO UPDATE
   SET token = l.token + 1, owner_run = NULL, owner_workflow = NULL, owner_namespace = NULL
"""
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a lease, and in which of Temporal's namespaces; None when it isn't known."""

    owner_run: str
    owner_workflow: str
    owner_namespace: str | None
    token: int
    acquired_at: datetime


def take(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    owner_run: str,
    owner_workflow: str,
    dead_run: str | None = None,
    *,
    namespace: str | None = None,
) -> int | Held:
    """Take the lease; gives the fencing token, or who holds it.

    Taking it again as the same run gives the same token. `dead_run` names a holder that the caller has
    proved dead; if it is still the holder, the lease changes hands and the token grows by one. `namespace`
    is where Temporal can be asked about the owner.
    """
    key = {"tenant_id": tenant_id, "connector_id": connector_id}
    wish = {**key, "run": owner_run, "workflow": owner_workflow, "namespace": namespace, "dead_run": dead_run}
    for _ in range(_ATTEMPTS):
        taken = row(handle, _TAKE, wish)
        if taken is not None:
            return int(taken["token"])
        held = holder(handle, tenant_id, connector_id)
        if held is not None:
            return held
    raise Broken(
        "lease_unsettled",
        "The connector's lease changed hands faster than it could be read.",
        next_step="Start the sync again.",
    )


def holder(handle: Handle, tenant_id: str, connector_id: str) -> Held | None:
    """Who holds the lease now, or None."""
    found = row(handle, _HOLDER, {"tenant_id": tenant_id, "connector_id": connector_id})
    return None if found is None else Held(**found)


def refuse_while_syncing(handle: Handle, tenant_id: str, wish: str) -> None:
    """Raise Misuse `sync_running`, naming connector and workflow, when any lease of the tenant is held."""
    found = row(
        handle,
        "SELECT c.type, l.owner_workflow FROM connector_leases l JOIN connectors c ON c.id = l.connector_id"
        " WHERE l.tenant_id = %(tenant_id)s AND l.owner_run IS NOT NULL ORDER BY c.type LIMIT 1",
        {"tenant_id": tenant_id},
    )
    if found is not None:
        raise Misuse(
            "sync_running",
            f"A sync of {found['type']} is running for {tenant_id} ({found['owner_workflow']}); {wish}.",
            next_step="Wait until it has ended, or cancel it, and run the same command again.",
        )


def release(handle: Handle, tenant_id: str, connector_id: str, owner_run: str) -> bool:
    """Give the lease back if `owner_run` holds it; False when it doesn't (any more). The token stays."""
    touched = run(
        handle,
        "UPDATE connector_leases SET owner_run = NULL, owner_workflow = NULL, owner_namespace = NULL"
        " WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s AND owner_run = %(run)s",
        {"tenant_id": tenant_id, "connector_id": connector_id, "run": owner_run},
    )
    return touched == 1


def revoke(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """Take the lease from whoever holds it: what that sync writes next is refused, and it sets no status any more.

    Waits for the batch that is being written. Take this lock before the connector's row, as everybody does.
    """
    run(handle, _REVOKE, {"tenant_id": tenant_id, "connector_id": connector_id})


def assert_fence(handle: Handle, tenant_id: str, connector_id: str, token: int) -> None:
    """Hold the lease row until the transaction ends, or raise Broken `lease_lost`: this sync may not write any more."""
    found = row(
        handle,
        "SELECT token FROM connector_leases WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"
        " AND token = %(token)s AND owner_run IS NOT NULL FOR SHARE",
        {"tenant_id": tenant_id, "connector_id": connector_id, "token": token},
    )
    if found is None:
        raise Broken(
            "lease_lost",
            "Another sync has taken over this connector, or it was disconnected or connected to another account; "
            "this one has stopped writing.",
            next_step="Nothing to do: while the connector is connected, the next sync goes on.",
        )
