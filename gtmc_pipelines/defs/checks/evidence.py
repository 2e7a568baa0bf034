"""What checks are answered from: read models of all tenants, each asked for once and only when a check needs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import dagster as dg

from gtmc_pipelines.defs.columns import Mappings
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity

if TYPE_CHECKING:
    from gtmc_pipelines.storage.check_models import ConnectorHealth, FieldKind, OpenLetters, Presence, StreamHistory
    from gtmc_pipelines.storage.comparisons import Comparison
    from gtmc_pipelines.storage.engine import Database
    from gtmc_pipelines.storage.failed_values import FailedValueSum
    from gtmc_pipelines.storage.left_out import LongLeftOut
    from gtmc_pipelines.storage.stream_fields import HiddenFields

SAMPLED_TENANTS = 12
"""Tenants whose raw records the field checks look at: those synced last."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An asset as checks see it: the streams that make it and the entities it holds."""

    key: dg.AssetKey
    streams: tuple[Stream, ...]
    entities: tuple[Entity, ...]

    @property
    def stream_names(self) -> tuple[str, ...]:
        """Names of its streams."""
        return tuple(stream.name for stream in self.streams)


class Evidence:
    """Facts about one connector type at `now` (UTC), read when first asked for and kept for one evaluation."""

    def __init__(self, database: Database, connector: ConnectorType, defaults: Mappings, now: datetime) -> None:
        self.connector = connector
        self.now = now
        self._database = database
        self._defaults = defaults
        self._presence: dict[tuple[str, str], list[Presence]] = {}
        self._kinds: dict[tuple[str, str], list[FieldKind]] = {}

    @cached_property
    def connectors(self) -> list[ConnectorHealth]:
        """Every connected tenant, the one synced last first."""
        from gtmc_pipelines.storage.check_models import connector_health

        return connector_health(self._database, self.connector)

    @cached_property
    def histories(self) -> dict[tuple[str, str], StreamHistory]:
        """The newest syncs of each tenant and stream."""
        from gtmc_pipelines.storage.check_models import stream_histories

        return {(found.tenant_id, found.stream): found for found in stream_histories(self._database, self.connector)}

    @cached_property
    def left_out(self) -> list[LongLeftOut]:
        """Slices that were left out again and again."""
        from gtmc_pipelines.defs.checks.members import LEFT_OUT_SYNCS
        from gtmc_pipelines.storage.left_out import long_left_out

        return long_left_out(self._database, self.connector, LEFT_OUT_SYNCS)

    @cached_property
    def letters(self) -> list[OpenLetters]:
        """Dead letters that are still open."""
        from gtmc_pipelines.storage.check_models import open_letters

        return open_letters(self._database, self.connector)

    @cached_property
    def hidden(self) -> dict[tuple[str, str], HiddenFields]:
        """Mapped fields the vendor no longer shows, of every tenant and stream that has some."""
        from gtmc_pipelines.storage.stream_fields import hidden_fields

        return {(found.tenant_id, found.stream): found for found in hidden_fields(self._database, self.connector)}

    @cached_property
    def failed_values(self) -> list[FailedValueSum]:
        """Optional values that couldn't be read, counted by tenant, stream, column and reason."""
        from gtmc_pipelines.storage.failed_values import sums

        return sums(self._database, connector=self.connector.value)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """The newest comparison of each stream of each tenant with the vendor's own numbers."""
        from gtmc_pipelines.storage.comparisons import latest

        return latest(self._database, self.connector)

    @cached_property
    def own_mappings(self) -> dict[str, dict[Entity, tuple[MappingEntry, ...]]]:
        """Mappings of their own, saved or legacy, of the sampled tenants and those with hidden fields, by tenant.

        One that can't be read is left out: the syncs of its streams fail and say so, and no other tenant's run with it.
        """
        from gtmc_pipelines.connectors.registry import connector_of
        from gtmc_pipelines.mapping.legacy import read_legacy
        from gtmc_pipelines.storage.mappings import stored_mappings

        streams = connector_of(self.connector).streams
        found: dict[str, dict[Entity, tuple[MappingEntry, ...]]] = {}
        concerned = {tenant for tenant, _ in self.hidden} | {row.tenant_id for row in self.sampled}
        for row in self.connectors:
            if row.tenant_id not in concerned:
                continue
            stored = stored_mappings(self._database, row.tenant_id, row.connector_id)
            legacy = read_legacy(stored.legacy, streams, self._defaults)
            read = {entity: _entries(mapping.entries) for entity, mapping in stored.saved.items()}
            read |= legacy.entries if legacy else {}
            found[row.tenant_id] = {entity: entries for entity, entries in read.items() if entries}
        return found

    @property
    def sampled(self) -> Sequence[ConnectorHealth]:
        """Tenants whose raw records are looked at."""
        return self.connectors[:SAMPLED_TENANTS]

    def histories_of(self, subject: Subject) -> list[StreamHistory]:
        """Histories of an asset's streams, for every tenant that has one."""
        names = set(subject.stream_names)
        return [history for (_, stream), history in self.histories.items() if stream in names]

    def mapping(self, tenant: str, entity: Entity) -> Sequence[MappingEntry]:
        """The mapping in force: the tenant's own, or the default."""
        return self.own_mappings.get(tenant, {}).get(entity) or self._defaults.get(entity, ())

    def presence(self, tenant: str, stream: Stream) -> list[Presence]:
        """How often the mapped source fields of a stream are filled in a tenant's newest raw records."""
        from gtmc_pipelines.storage.check_models import field_presence

        place = (tenant, stream.name)
        if place not in self._presence:
            entries = [entry for entity in stream.entities for entry in self.mapping(tenant, entity)]
            paths = {entry.source_field for entry in entries if entry.stream in (None, stream.name)}
            self._presence[place] = field_presence(self._database, tenant, stream, sorted(paths - {""}))
        return self._presence[place]

    def kinds(self, tenant: str, stream: Stream) -> list[FieldKind]:
        """Fields of a tenant's raw records with their JSON types."""
        from gtmc_pipelines.storage.check_models import field_kinds

        place = (tenant, stream.name)
        if place not in self._kinds:
            self._kinds[place] = field_kinds(self._database, tenant, stream)
        return self._kinds[place]


def _entries(saved: Iterable[Any]) -> tuple[MappingEntry, ...]:
    """The saved entries; none when they are not in the documented form."""
    try:
        return tuple(MappingEntry.of(entry) for entry in saved)
    except (AttributeError, KeyError, TypeError, ValueError):
        return ()
