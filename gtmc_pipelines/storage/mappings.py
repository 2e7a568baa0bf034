"""Field mappings as users saved them, and the legacy set of a connector that has none of its own.

A connector without either uses its vendor's defaults. `connectors.field_mappings` is the legacy set: it is in force
while the table of that name has no row of the connector, and never together with one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import audit, failed_values
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, Row, row, rows, run

_KEY = "tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"
_SELECT = f"SELECT entity_type, mappings, is_default, version, updated_at FROM field_mappings WHERE {_KEY}"  # noqa: S608 - constants only
_SAVE = """
INSERT INTO field_mappings AS m (tenant_id, connector_id, entity_type, mappings, is_default)
VALUES (%(tenant_id)s, %(connector_id)s, %(entity)s, %(entries)s, false)
ON CONFLICT (tenant_id, connector_id, entity_type) DO UPDATE
   SET mappings = excluded.mappings, is_default = false, version = m.version + 1, updated_at = now()
RETURNING entity_type, mappings, is_default, version, updated_at
"""
_ALL = """
SELECT m.entity_type, m.mappings, m.is_default, m.version, m.updated_at,
       CASE WHEN m.id IS NULL THEN c.field_mappings END AS legacy
  FROM connectors c LEFT JOIN field_mappings m ON m.tenant_id = c.tenant_id AND m.connector_id = c.id
 WHERE c.tenant_id = %(tenant_id)s AND c.id = %(connector_id)s ORDER BY m.entity_type
"""  # one statement: an import in between moves the set, and neither place would be seen
_LEGACY = f"""
SELECT field_mappings AS document, EXISTS (SELECT FROM field_mappings WHERE {_KEY}) AS has_own
  FROM connectors WHERE tenant_id = %(tenant_id)s AND id = %(connector_id)s FOR NO KEY UPDATE
"""  # noqa: S608 - constants only
_NO_LEGACY = """
UPDATE connectors SET field_mappings = NULL, version = version + 1, updated_at = now()
 WHERE tenant_id = %(tenant_id)s AND id = %(connector_id)s
"""


@dataclass(frozen=True, slots=True)
class StoredMapping:
    """A saved mapping of one entity. `entries` are the documented objects, in the user's order."""

    entity: Entity
    entries: Sequence[Mapping[str, Any]]
    is_default: bool
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredMappings:
    """What is stored for a connector: `saved` by entity or, where nothing is, the `legacy` document as it stands."""

    saved: Mapping[Entity, StoredMapping]
    legacy: Any = None


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


def stored_mappings(database: Database, tenant_id: str, connector_id: str) -> StoredMappings:
    """What `list_mappings` gives and, when that is nothing, the legacy set; read in one moment."""
    values = {"tenant_id": tenant_id, "connector_id": connector_id}
    with database.tenant(tenant_id) as connection:
        found = rows(connection, _ALL, values)
    saved = [_mapping(each) for each in found if each["entity_type"] is not None]
    return StoredMappings({mapping.entity: mapping for mapping in saved}, found[0]["legacy"] if found else None)


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
    the list of failed values. Raises Misuse `legacy_mapping_in_force`: its other entities would lose theirs.
    """
    values = _values(tenant_id, connector_id, entity, entries)
    with database.tenant(tenant_id) as connection:
        _refuse_over_legacy(connection, values)
        return _save(connection, values, actor)


def reset_mapping(
    database: Database, tenant_id: str, connector_id: str, entity: Entity, *, actor: str = "system"
) -> bool:
    """Go back to the defaults; False when there was nothing saved.

    A legacy set that the saved ones had replaced goes, too: it would be in force again. Raises Misuse
    `legacy_mapping_in_force`.
    """
    values = {"tenant_id": tenant_id, "connector_id": connector_id, "entity": entity.value}
    with database.tenant(tenant_id) as connection:
        _refuse_over_legacy(connection, values)
        before = row(connection, f"{_SELECT} AND entity_type = %(entity)s FOR UPDATE", values)
        if before is not None:
            run(connection, f"DELETE FROM field_mappings WHERE {_KEY} AND entity_type = %(entity)s", values)  # noqa: S608 - constants only
            audit.record(
                connection,
                tenant_id,
                actor=actor,
                action="field_mapping.delete",
                resource="field_mapping",
                resource_id=connector_id,
                changes={"entity": entity.value, "before": before["mappings"], "after": None},
            )
            _drop_legacy(connection, values, actor)
    return before is not None


def legacy_document(database: Database, tenant_id: str, connector_id: str) -> Any:
    """The legacy set as it stands in its column, in force or not; None when there is none."""
    with database.tenant(tenant_id) as connection:
        found = row(connection, _LEGACY, {"tenant_id": tenant_id, "connector_id": connector_id})
    return None if found is None else found["document"]


def move_legacy(
    database: Database,
    tenant_id: str,
    connector_id: str,
    document: Any,
    entries: Mapping[Entity, Sequence[Mapping[str, Any]]],
    *,
    actor: str = "system",
) -> None:
    """Save what the legacy `document` says and take it away; without `entries` it is only taken away.

    The audit log gets the document. Raises Misuse `legacy_mapping_changed` when the column doesn't hold the document
    any more, or a mapping was saved meanwhile.
    """
    key = {"tenant_id": tenant_id, "connector_id": connector_id}
    with database.tenant(tenant_id) as connection:
        found = row(connection, _LEGACY, key)
        if found is None or found["document"] != document or (entries and found["has_own"]):
            raise Misuse(
                "legacy_mapping_changed",
                "The connector's mappings were changed meanwhile; nothing was done.",
                next_step="Run `gtmc mappings import-legacy` again.",
            )
        for entity, wanted in entries.items():
            _save(connection, _values(tenant_id, connector_id, entity, wanted), actor)
        _drop_legacy(connection, key, actor)


def _values(tenant_id: str, connector_id: str, entity: Entity, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    documented = [dict(entry) for entry in entries]
    return {"tenant_id": tenant_id, "connector_id": connector_id, "entity": entity.value, "entries": Jsonb(documented)}


def _save(connection: Handle, values: Row, actor: str) -> StoredMapping:
    tenant_id, connector_id, entity = values["tenant_id"], values["connector_id"], Entity(values["entity"])
    before = row(connection, f"{_SELECT} AND entity_type = %(entity)s FOR UPDATE", values)
    saved = row(connection, _SAVE, values)
    assert saved is not None
    failed_values.forget_unmapped_entries(connection, tenant_id, connector_id, entity, saved["mappings"])
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


def _refuse_over_legacy(connection: Handle, values: Row) -> None:
    found = row(connection, _LEGACY, values)
    if found and found["document"] not in (None, [], {}) and not found["has_own"]:
        raise Misuse(
            "legacy_mapping_in_force",
            "The connector is mapped by a legacy set for all its entities, which one saved mapping would replace.",
            next_step="Move it over first: `gtmc mappings import-legacy`. Nothing was changed.",
        )


def _drop_legacy(connection: Handle, values: Row, actor: str) -> None:
    found = row(connection, _LEGACY, values)
    if found and found["document"] is not None:
        run(connection, _NO_LEGACY, values)
        audit.record(
            connection,
            values["tenant_id"],
            actor=actor,
            action="field_mapping.legacy_removed",
            resource="field_mapping",
            resource_id=values["connector_id"],
            changes={"before": found["document"], "after": None},
        )


def _mapping(values: Row) -> StoredMapping:
    return StoredMapping(
        Entity(values["entity_type"]),
        values["mappings"],
        values["is_default"],
        values["version"],
        values["updated_at"],
    )
