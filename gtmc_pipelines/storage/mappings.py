"""Field mappings as users saved them; a connector without a row uses its vendor's defaults."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are parameters

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.storage import audit, failed_values
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Row, row, rows, run

_KEY = "tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"
_SELECT = f"SELECT entity_type, mappings, is_default, version, updated_at FROM field_mappings WHERE {_KEY}"
_SAVE = """
INSERT INTO field_mappings AS m (tenant_id, connector_id, entity_type, mappings, is_default)
VALUES (%(tenant_id)s, %(connector_id)s, %(entity)s, %(entries)s, false)
ON CONFLICT (tenant_id, connector_id, entity_type) DO UPDATE
   SET mappings = excluded.mappings, is_default = false, version = m.version + 1, updated_at = now()
RETURNING entity_type, mappings, is_default, version, updated_at
"""


@dataclass(frozen=True, slots=True)
class StoredMapping:
    """A saved mapping of one entity. `entries` are the documented objects, in the user's order."""

    entity: Entity
    entries: Sequence[Mapping[str, Any]]
    is_default: bool
    version: int
    updated_at: datetime


def get_mapping(database: Database, tenant_id: str, connector_id: str, entity: Entity) -> StoredMapping | None:
    """The saved mapping of an entity; None means the defaults."""
    values = {"tenant_id": tenant_id, "connector_id": connector_id, "entity": entity.value}
    with database.tenant(tenant_id) as connection:
        found = row(connection, f"{_SELECT} AND entity_type = %(entity)s", values)
    return None if found is None else _mapping(found)


def list_mappings(database: Database, tenant_id: str, connector_id: str) -> dict[Entity, StoredMapping]:
    """All saved mappings of a connector; entities on their defaults are left out."""
    values = {"tenant_id": tenant_id, "connector_id": connector_id}
    with database.tenant(tenant_id) as connection:
        found = [_mapping(values) for values in rows(connection, f"{_SELECT} ORDER BY entity_type", values)]
    return {mapping.entity: mapping for mapping in found}


def save_mapping(
    database: Database,
    tenant_id: str,
    connector_id: str,
    entity: Entity,
    entries: Sequence[Mapping[str, Any]],
    *,
    actor: str = "system",
) -> StoredMapping:
    """Save a mapping that the caller has validated; the version grows by one.

    The audit log gets the entries before and after; null stands for the defaults. Columns it fills no more leave
    the list of failed values.
    """
    values = {
        "tenant_id": tenant_id,
        "connector_id": connector_id,
        "entity": entity.value,
        "entries": Jsonb([dict(entry) for entry in entries]),
    }
    with database.tenant(tenant_id) as connection:
        before = row(connection, f"{_SELECT} AND entity_type = %(entity)s FOR UPDATE", values)
        saved = row(connection, _SAVE, values)
        assert saved is not None
        failed_values.forget_unmapped_entries(connection, tenant_id, connector_id, entity, entries)
        audit.record(
            connection,
            tenant_id,
            actor=actor,
            action="field_mapping.update",
            resource="field_mapping",
            resource_id=connector_id,
            changes={
                "entity": entity.value,
                "version": saved["version"],
                "before": before and before["mappings"],
                "after": saved["mappings"],
            },
        )
    return _mapping(saved)


def reset_mapping(
    database: Database, tenant_id: str, connector_id: str, entity: Entity, *, actor: str = "system"
) -> bool:
    """Go back to the defaults; False when there was nothing saved."""
    values = {"tenant_id": tenant_id, "connector_id": connector_id, "entity": entity.value}
    with database.tenant(tenant_id) as connection:
        before = row(connection, f"{_SELECT} AND entity_type = %(entity)s FOR UPDATE", values)
        if before is not None:
            run(connection, f"DELETE FROM field_mappings WHERE {_KEY} AND entity_type = %(entity)s", values)
            audit.record(
                connection,
                tenant_id,
                actor=actor,
                action="field_mapping.delete",
                resource="field_mapping",
                resource_id=connector_id,
                changes={"entity": entity.value, "before": before["mappings"], "after": None},
            )
    return before is not None


def _mapping(values: Row) -> StoredMapping:
    return StoredMapping(
        Entity(values["entity_type"]),
        values["mappings"],
        values["is_default"],
        values["version"],
        values["updated_at"],
    )
