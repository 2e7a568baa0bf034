"""The one place where the catalog of streams becomes Dagster asset specs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import dagster as dg

from gtmc_pipelines.defs.code_references import code_references
from gtmc_pipelines.defs.columns import Mappings, canonical_lineage, canonical_schema, raw_schema
from gtmc_pipelines.defs.descriptions import canonical_description, raw_description
from gtmc_pipelines.defs.names import OWNER, canonical_key, raw_key, streams_feeding
from gtmc_pipelines.defs.partitions import tenants_of
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, Entity

RAW_LAYOUT = "1"
"""Code version of raw extracts: raise it when what a raw row holds changes its meaning."""

_ICON = {ConnectorType.O365: "microsoft"}
"""Kinds that Dagster has an icon for, where the type key is none of them."""


def asset_specs(connector: ConnectorType, mappings: Mappings) -> list[dg.AssetSpec]:
    """Raw extracts, then canonical tables of one connector type; every asset skippable."""
    raw = [_raw_spec(stream, mappings) for stream in STREAMS[connector]]
    entities = dict.fromkeys(entity for stream in STREAMS[connector] for entity in stream.entities)
    return raw + [_canonical_spec(connector, entity, mappings) for entity in entities]


def mapping_version(entries: Sequence[MappingEntry]) -> str:
    """Short fingerprint of a default mapping: Dagster shows an asset as outdated when it changes."""
    text = json.dumps([entry.as_dict() for entry in entries], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _raw_spec(stream: Stream, mappings: Mappings) -> dg.AssetSpec:
    return dg.AssetSpec(
        raw_key(stream.connector, stream.name),
        description=raw_description(stream),
        metadata={
            "dagster/table_name": stream.raw_table,
            "dagster/column_schema": raw_schema(stream, mappings),
            **code_references(stream.connector, "streams.py", "how it is read"),
        },
        code_version=RAW_LAYOUT,
        tags={"layer": "raw"},
        **_shared(stream.connector),
    )


def _canonical_spec(connector: ConnectorType, entity: Entity, mappings: Mappings) -> dg.AssetSpec:
    table = ENTITIES[entity].table
    return dg.AssetSpec(
        canonical_key(connector, table),
        deps=[raw_key(connector, stream.name) for stream in streams_feeding(connector, table)],
        description=canonical_description(connector, entity),
        metadata={
            "dagster/table_name": f"public.{table}",
            "dagster/column_schema": canonical_schema(connector, entity, mappings),
            "dagster/column_lineage": canonical_lineage(connector, entity, mappings),
            **code_references(connector, "defaults.py", "its default mapping"),
        },
        code_version=mapping_version(mappings.get(entity, ())),
        tags={"layer": "canonical"},
        **_shared(connector),
    )


def _shared(connector: ConnectorType) -> dict[str, Any]:
    return {
        "group_name": str(connector),
        "kinds": {_ICON.get(connector, str(connector)), "postgres"},
        "owners": [OWNER],
        "partitions_def": tenants_of(connector),
        "skippable": True,
    }
