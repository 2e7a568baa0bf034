"""Office 365 consent: the data-processing agreement and the domains a tenant allows."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are parameters

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, run

_COLUMNS = "dpa_accepted_at, dpa_accepted_by, dpa_version, revoked_at, allowed_domains, tenant_o365_domain"
_ACCEPT = """
INSERT INTO o365_config (tenant_id, dpa_accepted_at, dpa_accepted_by, dpa_version)
VALUES (%(tenant_id)s, %(at)s, %(actor)s, %(dpa_version)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET dpa_accepted_at = excluded.dpa_accepted_at, dpa_accepted_by = excluded.dpa_accepted_by,
       dpa_version = excluded.dpa_version, revoked_at = NULL
"""
_WITHDRAW = """
UPDATE o365_config SET dpa_accepted_at = NULL, revoked_at = %(at)s
 WHERE tenant_id = %(tenant_id)s AND dpa_accepted_at IS NOT NULL
"""
_DOMAINS = """
INSERT INTO o365_config (tenant_id, allowed_domains, tenant_o365_domain)
VALUES (%(tenant_id)s, %(allowed)s, %(own)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET allowed_domains = excluded.allowed_domains, tenant_o365_domain = excluded.tenant_o365_domain
"""


@dataclass(frozen=True, slots=True)
class O365Config:
    """Consent of one tenant. No sync may run while `dpa_accepted_at` is None.

    An empty `allowed_domains` is the most restrictive: nothing of anybody is written.
    """

    dpa_accepted_at: datetime | None = None
    dpa_accepted_by: str | None = None
    dpa_version: str | None = None
    revoked_at: datetime | None = None
    allowed_domains: tuple[str, ...] = ()
    tenant_o365_domain: str | None = None

    @property
    def is_accepted(self) -> bool:
        """True while the agreement is in force."""
        return self.dpa_accepted_at is not None


def get_config(handle: Handle, tenant_id: str) -> O365Config:
    """The tenant's consent, read in the caller's transaction; an empty one when nothing was ever set."""
    found = row(handle, f"SELECT {_COLUMNS} FROM o365_config WHERE tenant_id = %(tenant_id)s", {"tenant_id": tenant_id})
    if found is None:
        return O365Config()
    return O365Config(**found | {"allowed_domains": tuple(found["allowed_domains"])})


def accept_dpa(
    database: Database, tenant_id: str, *, actor: str, dpa_version: str, at: datetime, accepted_by: str | None = None
) -> O365Config:
    """Record that `accepted_by` (unset: `actor`) accepted the agreement in this version; `actor` did the typing."""
    person = accepted_by or actor
    values = {"tenant_id": tenant_id, "actor": person, "dpa_version": dpa_version, "at": at}
    with database.tenant(tenant_id) as connection:
        before = get_config(connection, tenant_id)
        run(connection, _ACCEPT, values)
        after = {"dpa_version": dpa_version, "accepted_by": person}
        changes = {"before": {"dpa_version": before.dpa_version if before.is_accepted else None}, "after": after}
        _audit(connection, tenant_id, actor, "o365.accept_dpa", changes)
        return get_config(connection, tenant_id)


def withdraw_dpa(
    database: Database, tenant_id: str, *, actor: str, at: datetime, withdrawn_by: str | None = None
) -> bool:
    """Withdraw the agreement; False when it wasn't in force. A running sync stops at its next batch."""
    with database.tenant(tenant_id) as connection:
        before = get_config(connection, tenant_id)
        touched = run(connection, _WITHDRAW, {"tenant_id": tenant_id, "at": at})
        if touched:
            in_force = {"dpa_version": before.dpa_version, "accepted_by": before.dpa_accepted_by}
            changes = {"before": in_force, "after": {"dpa_version": None, "withdrawn_by": withdrawn_by or actor}}
            _audit(connection, tenant_id, actor, "o365.withdraw_dpa", changes)
    return touched == 1


def set_domains(
    database: Database, tenant_id: str, allowed: Iterable[str], own: str | None, *, actor: str = "system"
) -> O365Config:
    """Set the allowed domains and the tenant's own, which is always excluded. Lower case, each once."""
    domains = sorted({domain.strip().lower() for domain in allowed if domain.strip()})
    values = {"tenant_id": tenant_id, "allowed": domains, "own": own.strip().lower() if own else None}
    with database.tenant(tenant_id) as connection:
        before = get_config(connection, tenant_id)
        run(connection, _DOMAINS, values)
        was = {"allowed": list(before.allowed_domains), "own": before.tenant_o365_domain}
        changes = {"before": was, "after": {"allowed": domains, "own": values["own"]}}
        _audit(connection, tenant_id, actor, "o365.domains", changes)
        return get_config(connection, tenant_id)


def _audit(handle: Handle, tenant_id: str, actor: str, action: str, changes: Mapping[str, Any]) -> None:
    audit.record(
        handle, tenant_id, actor=actor, action=action, resource="o365_config", resource_id=tenant_id, changes=changes
    )
