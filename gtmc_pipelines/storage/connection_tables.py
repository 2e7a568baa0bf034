"""Tables about connecting: logins under way, and who holds which account."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, Table, Text

from gtmc_pipelines.storage.tables import METADATA, moment, of_a_connector, required_text

__all__ = ["METADATA", "connection_owners", "oauth_states"]

oauth_states = Table(
    "oauth_states",
    METADATA,
    Column("nonce_hash", LargeBinary, primary_key=True),
    required_text("tenant_id"),
    required_text("connector_id"),
    moment("expires_at", required=True),
    moment("used_at"),
    of_a_connector(),
)

connection_owners = Table(
    "connection_owners",
    METADATA,
    Column("connector_type", Text, primary_key=True),
    Column("account_hash", LargeBinary, primary_key=True),
    Column("seat", Integer, primary_key=True, autoincrement=False),
    required_text("tenant_id"),
    required_text("connector_id"),
    moment("claimed_at", now=True),
    of_a_connector(),
)
