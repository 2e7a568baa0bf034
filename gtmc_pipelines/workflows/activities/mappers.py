"""Mappers of a stream: the connector's saved mappings, or its vendor's defaults, compiled for that stream."""

from __future__ import annotations

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.mapping.compile import CompiledMapping, compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.mappings import list_mappings


def mappers_of(database: Database, connector: Connector, row: ConnectorRow, stream: Stream) -> list[CompiledMapping]:
    """One mapper for each entity of the stream, the primary one first. Raises Misuse for a mapping that can't be."""
    saved = list_mappings(database, row.tenant_id, row.id)
    defaults = connector.default_mappings()
    return [
        compile_mapping(
            entity,
            [MappingEntry.of(entry) for entry in saved[entity].entries] if entity in saved else defaults[entity],
            stream.name,
            stream.prefix_of(entity),
        )
        for entity in stream.entities
    ]
