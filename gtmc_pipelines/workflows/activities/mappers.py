"""Mappers of a stream: the connector's mappings in force, compiled for that stream."""

from __future__ import annotations

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import StoredMapping
from gtmc_pipelines.workflows.mappings_in_force import MappingsInForce, mappings_in_force, not_understood

_NOT_AN_ENTRY = (KeyError, TypeError, ValueError, AttributeError)


def mappers_of(database: Database, connector: Connector, row: ConnectorRow, stream: Stream) -> list[CompiledMapping]:
    """One mapper for each entity of the stream, the primary one first.

    Raises Broken `bad_saved_mapping` for a saved one that can't be, `bad_legacy_mapping` for a legacy one: it is the
    trouble of its streams, and of no other. The defaults would write what nobody decided on.
    """
    mappings = mappings_in_force(database, connector, row.tenant_id, row.id)
    return [_mapper(mappings, row, stream, entity) for entity in stream.entities]


def _mapper(mappings: MappingsInForce, row: ConnectorRow, stream: Stream, entity: Entity) -> CompiledMapping:
    if entity in mappings.saved:
        return _of_saved(row, stream, entity, mappings.saved[entity])
    trouble = not_understood(mappings.legacy, entity, row.tenant_id, row.type) if mappings.legacy else None
    if trouble is not None:
        raise trouble
    return compile_mapping(entity, mappings.unsaved(entity), stream.name, stream.prefix_of(entity))


def _of_saved(row: ConnectorRow, stream: Stream, entity: Entity, saved: StoredMapping) -> CompiledMapping:
    try:
        entries = [MappingEntry.of(entry) for entry in saved.entries]
        return compile_mapping(entity, entries, stream.name, stream.prefix_of(entity))
    except Misuse as misuse:
        cause = misuse.sentence
    except _NOT_AN_ENTRY:
        cause = "It holds an entry that is none."
    where = f"--tenant {row.tenant_id} --connector {row.type} --entity {entity}"
    raise Broken(
        "bad_saved_mapping",
        f"The saved mapping of {entity} can't be used for {stream.name}: {cause}",
        next_step=f"Correct it (gtmc mappings set {where}) or go back to the defaults (gtmc mappings reset {where}).",
    )
