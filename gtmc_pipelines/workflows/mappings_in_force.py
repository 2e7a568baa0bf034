"""Which mapping of a connector is in force: its own, a legacy set's, or the vendor's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.mapping.legacy import LegacyMapping, read_legacy
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import StoredMapping, stored_mappings

Origin = Literal["own", "legacy", "default"]


@dataclass(frozen=True, slots=True)
class MappingsInForce:
    """A connector's mappings. `saved` wins; `legacy` is what `document` says, and is there only without a saved one."""

    saved: Mapping[Entity, StoredMapping]
    legacy: LegacyMapping | None
    defaults: Mapping[Entity, Sequence[MappingEntry]]
    document: Any = None

    def origin(self, entity: Entity) -> Origin:
        """Where the mapping of an entity comes from; a legacy one may be one that can't be understood."""
        if entity in self.saved:
            return "default" if self.saved[entity].is_default else "own"
        if self.legacy and (entity in self.legacy.entries or self.legacy.problem_of(entity)):
            return "legacy"
        return "default"

    def unsaved(self, entity: Entity) -> Sequence[MappingEntry]:
        """The entries of an entity that has no saved mapping; a legacy one that can't be understood has none."""
        if self.origin(entity) == "legacy" and self.legacy:
            return () if self.legacy.problem_of(entity) else self.legacy.entries[entity]
        return self.defaults[entity]

    def decided(self, entity: Entity) -> Sequence[Mapping[str, Any]] | None:
        """The documented objects somebody decided on, saved or legacy; None stands for the defaults."""
        if entity in self.saved:
            return self.saved[entity].entries
        return [each.as_dict() for each in self.unsaved(entity)] if self.origin(entity) == "legacy" else None


def mappings_in_force(database: Database, connector: Connector, tenant_id: str, connector_id: str) -> MappingsInForce:
    """The mappings of a connector, read in one moment."""
    stored = stored_mappings(database, tenant_id, connector_id)
    defaults = connector.default_mappings()
    return MappingsInForce(
        stored.saved, read_legacy(stored.legacy, connector.streams, defaults), defaults, stored.legacy
    )


def not_understood(legacy: LegacyMapping, entity: Entity, tenant_id: str, type: ConnectorType) -> Broken | None:
    """The error of an entity that the legacy set may be about and doesn't say how; None when it can be used."""
    problem = legacy.problem_of(entity)
    if problem is None:
        return None
    return Broken(
        "bad_legacy_mapping",
        f"The legacy mapping of {type.label} can't be used for the {entity}: {problem}",
        next_step=f"See all of it, move it over or leave it: gtmc mappings import-legacy --tenant {tenant_id}"
        f" --connector {type}",
    )
