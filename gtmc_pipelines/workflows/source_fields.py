"""Source fields of an entity, asked of the vendor at this moment, for whoever writes a mapping."""

from __future__ import annotations

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.records import SourceField
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.composition import compose_agreed, key_ring


def source_fields(
    settings: Settings, database: Database, row: ConnectorRow, entity: Entity, *, actor: str
) -> list[SourceField]:
    """Fields the vendor offers for an entity, custom ones included; the audit log names `actor` for a renewed token.

    Raises Misuse `not_connected`, Reauthorize when the credentials are refused or Office 365 lacks its
    agreement, and the vendor's own trouble otherwise.
    """
    if row.status is ConnectorStatus.DISCONNECTED:
        raise Misuse(
            "not_connected",
            f"The {row.type.label} connector of {row.tenant_id} is not connected, so its fields can't be asked for.",
            next_step=f"Connect it: gtmc connectors connect --tenant {row.tenant_id} --connector {row.type}",
        )
    composed = compose_agreed(settings, database, row)
    credentials = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id, actor=actor)
    connector = connector_of(row.type)
    session = connector.authenticate(credentials, composed)
    try:
        return connector.describe_fields(session, entity)
    finally:
        session.close()
