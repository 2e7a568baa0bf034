"""Which tenant's connector holds a vendor's account (directory, org, workspace): one, unless an operator allows more.

Row security hides other tenants' rows, so nothing here reads them: a unique key on account and seat does the refusing.
Who is allowed to share takes the first free seat. Who isn't takes all seats of an account for a moment, which works
only while nobody else has one; of two who try at once, the second waits for the first's transaction and is refused.
Accounts are kept as hashes; refusals never name the other tenant.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.statements import Handle, rows, run

SEATS = 16
"""Connectors an account may be shared by."""

_HELD = """
SELECT account_hash FROM connection_owners WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s
"""
_TAKE = """
INSERT INTO connection_owners (connector_type, account_hash, seat, tenant_id, connector_id)
SELECT %(type)s, %(account)s, seat, %(tenant_id)s, %(connector_id)s
  FROM generate_series(%(first)s::integer, %(last)s::integer) AS seat ORDER BY seat
    ON CONFLICT (connector_type, account_hash, seat) DO NOTHING
"""
_LEAVE = """
DELETE FROM connection_owners
 WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s AND account_hash = %(account)s AND seat >= %(from)s
"""
_RELEASE = "DELETE FROM connection_owners WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"


def claim(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    kind: ConnectorType,
    accounts: Sequence[str],
    *,
    may_share: bool = False,
) -> None:
    """Hold these accounts and no others, in the transaction that stores the connector's secrets.

    What the connector holds already stays its own, shared or not. Raises Misuse `account_held` when another tenant
    holds one of them and the operator hasn't allowed it (`may_share`); the caller's transaction must end then.
    """
    key = {"type": kind.value, "tenant_id": tenant_id, "connector_id": connector_id}
    wanted = {_hash(kind, account) for account in accounts}
    held = {bytes(found["account_hash"]) for found in rows(handle, _HELD, key)}
    for account in sorted(held - wanted):
        run(handle, _LEAVE, {**key, "account": account, "from": 0})
    for account in sorted(wanted - held):
        values = {**key, "account": account}
        taken = _one_seat(handle, values) if may_share else _alone(handle, values)
        if not taken:
            raise _held_by_another(kind, tenant_id)


def release(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """Hold nothing any more."""
    run(handle, _RELEASE, {"tenant_id": tenant_id, "connector_id": connector_id})


def _alone(handle: Handle, values: Mapping[str, object]) -> bool:
    """Take the account for this tenant alone."""
    if run(handle, _TAKE, {**values, "first": 0, "last": SEATS - 1}) < SEATS:
        return False
    run(handle, _LEAVE, {**values, "from": 1})
    return True


def _one_seat(handle: Handle, values: Mapping[str, object]) -> bool:
    """Take the first free seat."""
    return any(run(handle, _TAKE, {**values, "first": seat, "last": seat}) for seat in range(SEATS))


def _hash(kind: ConnectorType, account: str) -> bytes:
    return hashlib.sha256(f"{kind.value}:{account}".encode()).digest()


def _held_by_another(kind: ConnectorType, tenant_id: str) -> Misuse:
    return Misuse(
        "account_held",
        f"The account of {kind.label} that this login or key leads to is connected by another tenant already.",
        next_step="Log in to the right one. If both tenants are to read it, the operator says so: gtmc connectors "
        f"connect --tenant {tenant_id} --connector {kind.value} --allow-shared-account.",
    )
