"""OAuth states under way: each nonce is good once, for one tenant and connector, until it expires."""

from __future__ import annotations

from datetime import datetime

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import run


def remember(database: Database, nonce_hash: bytes, tenant_id: str, connector_id: str, expires_at: datetime) -> None:
    """Note a state that is being sent out, by the hash of its nonce; forget those expired."""
    values = {"hash": nonce_hash, "tenant_id": tenant_id, "connector_id": connector_id, "expires_at": expires_at}
    with database.tenant(tenant_id) as connection:
        run(
            connection,
            "DELETE FROM oauth_states WHERE tenant_id = %(tenant_id)s AND expires_at < now()",
            values,
        )
        run(
            connection,
            "INSERT INTO oauth_states (nonce_hash, tenant_id, connector_id, expires_at)"
            " VALUES (%(hash)s, %(tenant_id)s, %(connector_id)s, %(expires_at)s)",
            values,
        )


def consume(database: Database, nonce_hash: bytes, tenant_id: str, connector_id: str, now: datetime) -> bool:
    """Use a state up; nothing of it is left. False for one unknown, used, expired, or of another connector."""
    with database.tenant(tenant_id) as connection:
        touched = run(
            connection,
            "DELETE FROM oauth_states WHERE nonce_hash = %(hash)s AND tenant_id = %(tenant_id)s"
            " AND connector_id = %(connector_id)s AND used_at IS NULL AND expires_at > %(now)s",
            {"hash": nonce_hash, "tenant_id": tenant_id, "connector_id": connector_id, "now": now},
        )
    return touched == 1
