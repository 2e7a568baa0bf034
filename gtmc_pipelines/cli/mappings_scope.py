"""What a mapping command is about: a connector, the entities it feeds, and the entries in force for each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import MAPPABLE, Entity
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.storage.connectors import ConnectorRow, require_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import StoredMapping
from gtmc_pipelines.storage.tenants import require_tenant
from gtmc_pipelines.workflows.mappings_in_force import MappingsInForce, Origin, mappings_in_force, not_understood


@dataclass(frozen=True, slots=True)
class Scope:
    """One connector and its mappings in force."""

    row: ConnectorRow
    mappings: MappingsInForce

    @property
    def saved(self) -> Mapping[Entity, StoredMapping]:
        """Stored mappings by entity, where there are any."""
        return self.mappings.saved

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Entities the connector feeds, in the catalog's order."""
        return tuple(
            dict.fromkeys(entity for stream in connector_of(self.row.type).streams for entity in stream.entities)
        )

    def entity(self, name: str, *, must_be_mappable: bool = False) -> Entity:
        """The entity of this name. Raises Misuse that names what the connector feeds."""
        offered = [entity for entity in self.entities if entity in MAPPABLE or not must_be_mappable]
        found = next((entity for entity in offered if entity == name), None)
        if found is not None:
            return found
        if name in self.entities:
            sentence = f"The {name} of {self.row.type.label} is fixed; its mapping can be shown, not changed."
            verb = "Yours to map"
        else:
            sentence = f"{self.row.type.label} feeds no {name[:40]!r}."
            verb = "It feeds"
        near = difflib.get_close_matches(name, offered, n=1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise Misuse("unknown_entity", sentence, next_step=f"{hint}{verb}: {', '.join(offered)}.")

    def streams(self, entity: Entity) -> list[Stream]:
        """The connector's streams that feed an entity."""
        return [stream for stream in connector_of(self.row.type).streams if entity in stream.entities]

    def origin(self, entity: Entity) -> Origin:
        """Where the mapping of an entity comes from."""
        return self.mappings.origin(entity)

    def trouble(self, entity: Entity) -> GtmcError | None:
        """Why a legacy mapping of an entity can't be used; None for every other."""
        legacy = self.mappings.legacy
        return not_understood(legacy, entity, self.row.tenant_id, self.row.type) if legacy else None

    def entries(self, entity: Entity) -> list[dict[str, Any]]:
        """The documented objects in force: as stored where saved, else the legacy set's or the defaults."""
        if entity in self.saved:
            stored: Sequence[Any] = self.saved[entity].entries  # other writers may have left anything in there
            return [dict(entry) if isinstance(entry, Mapping) else {"entry": entry} for entry in stored]
        return [entry.as_dict() for entry in self.mappings.unsaved(entity)]

    def compiled(
        self, entity: Entity, stream: Stream, entries: Sequence[MappingEntry] | None = None
    ) -> CompiledMapping:
        """`entries`, or those in force, compiled for a stream.

        Raises for ones that can't be: Misuse, or Broken for a legacy set's.
        """
        trouble = self.trouble(entity) if entries is None else None
        if trouble is not None:
            raise trouble
        try:
            wanted = [MappingEntry.of(entry) for entry in self.entries(entity)] if entries is None else entries
            return compile_mapping(entity, wanted, stream.name, stream.prefix_of(entity))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Misuse(
                "bad_saved_mapping",
                f"The saved mapping of {entity} holds an entry that is none.",
                next_step="Save it anew with `gtmc mappings set`, or go back to the defaults: `gtmc mappings reset`.",
            ) from None


def scope_of(database: Database, tenant: str, connector: str) -> Scope:
    """The scope of a tenant's connector. Raises Misuse for a tenant or connector that doesn't exist."""
    require_tenant(database, tenant)
    row = require_connector(database, tenant, connector)
    return Scope(row, mappings_in_force(database, connector_of(row.type), tenant, row.id))
