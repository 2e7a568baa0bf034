"""Office 365 consent: the data-processing agreement and the domains a tenant allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run

NOT_ACCEPTED = "dpa_not_accepted"
"""Code of the error that only an accepted agreement answers."""

_COLUMNS = "dpa_accepted_at, dpa_accepted_by, dpa_version, revoked_at, allowed_domains, tenant_o365_domain"
_ACCEPT = """
INSERT INTO o365_config (tenant_id, dpa_accepted_at, dpa_accepted_by, dpa_version)
VALUES (%(tenant_id)s, %(at)s, %(actor)s, %(dpa_version)s)
ON CONFLICT (tenant_id) DO UPDATE
   SET dpa_accepted_at = excluded.dpa_accepted_at, dpa_accepted_by = excluded.dpa_accepted_by,
       dpa_version = excluded.dpa_version, revoked_at = NULL
"""
# Locked before the agreement is changed, so that a sync that ends with its error in this moment sees either.
_CONNECTOR = "SELECT FROM connectors WHERE tenant_id = %(tenant_id)s AND type = 'o365' FOR UPDATE"
_REVIVE = """
UPDATE connectors
   SET status = 'connected', error_code = NULL, error_kind = NULL, last_sync_error = NULL,
       version = version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND type = 'o365' AND status = 'error' AND error_code = %(not_accepted)s
"""
_WITHDRAW = """
UPDATE o365_config SET dpa_accepted_at = NULL, revoked_at = %(at)s
 WHERE tenant_id = %(tenant_id)s AND dpa_accepted_at IS NOT NULL
"""
# Touches the row, so that it is there and locked when the lists are read.
_HOLD = """
INSERT INTO o365_config (tenant_id) VALUES (%(tenant_id)s)
ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = excluded.tenant_id
"""
_DOMAINS = """
UPDATE o365_config SET allowed_domains = %(allowed)s, tenant_o365_domain = %(own)s WHERE tenant_id = %(tenant_id)s
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
    found = row(handle, f"SELECT {_COLUMNS} FROM o365_config WHERE tenant_id = %(tenant_id)s", {"tenant_id": tenant_id})  # noqa: S608 - constants only
    if found is None:
        return O365Config()
    return O365Config(**found | {"allowed_domains": tuple(found["allowed_domains"])})


def accept_dpa(
    database: Database, tenant_id: str, *, actor: str, dpa_version: str, at: datetime, accepted_by: str | None = None
) -> O365Config:
    """Record that `accepted_by` (unset: `actor`) accepted the agreement in this version; `actor` did the typing.

    A connector that is on `error` for want of it is `connected` again.
    """
    person = accepted_by or actor
    values = {"tenant_id": tenant_id, "actor": person, "dpa_version": dpa_version, "at": at}
    with database.tenant(tenant_id) as connection:
        rows(connection, _CONNECTOR, values)
        before = get_config(connection, tenant_id)
        run(connection, _ACCEPT, values)
        run(connection, _REVIVE, {**values, "not_accepted": NOT_ACCEPTED})
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
    """Set the allowed domains and, unless None, the tenant's own, which is always excluded.

    Lower case, each once. Raises Misuse `own_domain` when the tenant's own, or one below it, is to be allowed.
    """
    return _change_domains(database, tenant_id, lambda _: set(allowed), own, actor)


def add_domains(
    database: Database, tenant_id: str, names: Iterable[str], own: str | None = None, *, actor: str
) -> O365Config:
    """Allow domains besides those there are, whatever others change at the same time. Raises as `set_domains`."""
    return _change_domains(database, tenant_id, lambda now: now | set(names), own, actor)


def remove_domains(database: Database, tenant_id: str, names: Iterable[str], *, actor: str) -> O365Config:
    """Take domains off the list, likewise. Raises Misuse `domain_not_allowed` when one isn't on it."""

    def without(now: set[str]) -> set[str]:
        unknown = sorted(set(names) - now)
        if unknown:
            raise Misuse(
                "domain_not_allowed",
                f"{unknown[0][:80]!r} is not on the list of {tenant_id}.",
                next_step=f"See it: gtmc o365 domains list --tenant {tenant_id}",
            )
        return now - set(names)

    return _change_domains(database, tenant_id, without, None, actor)


def own_among(domains: Iterable[str], own: str | None) -> list[str]:
    """Those of the domains that are the tenant's own or below it."""
    return [domain for domain in domains if own and (domain == own or domain.endswith(f".{own}"))]


def _change_domains(
    database: Database, tenant_id: str, wanted: Callable[[set[str]], set[str]], own: str | None, actor: str
) -> O365Config:
    with database.tenant(tenant_id) as connection:
        run(connection, _HOLD, {"tenant_id": tenant_id})
        before = get_config(connection, tenant_id)
        domains = sorted({name.strip().lower() for name in wanted(set(before.allowed_domains)) if name.strip()})
        own = own.strip().lower() if own else before.tenant_o365_domain
        if own_among(domains, own):
            raise Misuse(
                "own_domain",
                f"{own} is the tenant's own domain, and its people are never kept.",
                next_step="Allow domains of others only.",
            )
        run(connection, _DOMAINS, {"tenant_id": tenant_id, "allowed": domains, "own": own})
        was = {"allowed": list(before.allowed_domains), "own": before.tenant_o365_domain}
        changes = {"before": was, "after": {"allowed": domains, "own": own}}
        _audit(connection, tenant_id, actor, "o365.domains", changes)
        return get_config(connection, tenant_id)


def _audit(handle: Handle, tenant_id: str, actor: str, action: str, changes: Mapping[str, Any]) -> None:
    audit.record(
        handle, tenant_id, actor=actor, action=action, resource="o365_config", resource_id=tenant_id, changes=changes
    )
