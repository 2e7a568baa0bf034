"""Whose account a connector reads: claimed when it is connected, noted when one from before is verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gtmc_pipelines.connectors.login import Grant, KeyLogin
from gtmc_pipelines.connectors.registry import login_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.records import Health
from gtmc_pipelines.storage import connection_owners
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.vault.secret import Secret

HELD_TOO = "another tenant has connected this account, too"


def accounts_of(kind: ConnectorType, grant: Grant, health: Health) -> Sequence[str]:
    """What a connector comes to hold: what the login's or the probe's answer names, else the key's own account.

    Where a vendor doesn't say whose key it is, the same key is the same account, and that is all that can be told.
    """
    return grant.accounts or health.accounts or _by_key(kind, grant.credentials)


def note(stored: StoredCredentials, row: ConnectorRow, health: Health) -> Health:
    """Claim for a connector what its stored key is found to lead to; where another tenant holds it, the facts say so.

    It goes on as it is: who connected before there were claims isn't cut off by one. Logins in the browser claim
    when they connect, and a migration has noted those from before.
    """
    if not isinstance(login_of(row.type), KeyLogin):
        return health
    try:
        with stored.alone() as handle:
            accounts = accounts_of(row.type, Grant(stored.opened(handle)), health)
            connection_owners.claim(handle, row.tenant_id, row.id, row.type, accounts)
    except Misuse as refusal:
        if refusal.code != "account_held":
            raise
        return replace(health, facts={**health.facts, "warning": HELD_TOO})
    return health


def _by_key(kind: ConnectorType, credentials: Mapping[str, Secret]) -> tuple[str, ...]:
    login = login_of(kind)
    if not isinstance(login, KeyLogin):
        return ()
    key = "\0".join(credentials[name].reveal() for name in login.secrets if name in credentials)
    return (f"key:{hashlib.sha256(key.encode()).hexdigest()}",) if key else ()
