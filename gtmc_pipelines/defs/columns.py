"""Column schema of every asset, and column lineage computed from the default mappings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from gtmc_pipelines.defs.names import raw_key, streams_feeding
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, Entity, Field

Mappings = Mapping[Entity, Sequence[MappingEntry]]

_NOT_NULL = dg.TableColumnConstraints(nullable=False)
_RECORD_FIELD = re.compile(r"\brecord\.([A-Za-z_][\w.]*)")

_RAW = (
    ("tenant_id", "text", "Tenant the record belongs to; row-level security keeps tenants apart", True),
    ("external_id", "text", "The vendor's id of the record", True),
    ("payload", "jsonb", "The record as the vendor delivered it", False),
    ("content_hash", "bytea", "Hash of payload and mapping: equal means nothing to write", True),
    ("source_updated_at", "timestamptz", "The vendor's change time, UTC", False),
    ("sync_log_id", "text", "Sync that landed this version", False),
    ("batch_id", "bigint", "Batch of that sync", False),
    ("extracted_at", "timestamptz", "When it was read from the vendor", True),
    ("deleted", "boolean", "The record is gone at the vendor, or not to be seen", True),
    ("slice", "text", "The only part of the stream that can hold it (a mailbox); empty: any", False),
    ("deleted_reason", "text", "Empty: the vendor said so; absent, not_visible, slice_gone: it was not there", False),
)
_ROW_HEAD = (
    ("id", "text", "Stable id made from tenant, source and external id", True),
    ("tenant_id", "text", "Tenant the row belongs to; row-level security keeps tenants apart", True),
    ("source", "text", "Connector type the row came from", True),
    ("external_id", "text", "The vendor's id of the record", True),
)
_SOURCE_DATA = ("source_data", "jsonb", "Custom fields kept beside the canonical ones", False)
_ACCOUNT_ID = ("account_id", "text", "Id of the account, derived from its external id", False)
_ROW_TAIL = (
    ("source_updated_at", "timestamptz", "The vendor's change time: an older one never overwrites", False),
    ("created_at", "timestamptz", "When the row was first written", True),
    ("updated_at", "timestamptz", "When the row last changed", True),
    ("deleted_at", "timestamptz", "When the vendor's deletion was seen; rows are never removed", False),
    ("deleted_reason", "text", "Empty: the vendor said so; absent, not_visible, slice_gone: it was not there", False),
)


def raw_schema(stream: Stream, mappings: Mappings) -> dg.TableSchema:
    """Columns of a raw extract, followed by the fields of `payload` that the default mapping reads, and what for."""
    filled: dict[str, dict[str, None]] = {}
    for entity in stream.entities:
        for entry in mappings.get(entity, ()):
            field = target_of(entity, entry)
            if field is None or entry.stream not in (None, stream.name):
                continue
            for name in fields_read(entry):
                filled.setdefault(name, {})[f"{ENTITIES[entity].table}.{field.column}"] = None
    known = {name for name, *_ in _RAW}
    fields = [
        dg.TableColumn(name, "field of payload", description=f"By default fills {', '.join(targets)}")
        for name, targets in filled.items()
        if name not in known
    ]
    return dg.TableSchema(columns=[*(_column(*row) for row in _RAW), *fields])


def canonical_schema(connector: ConnectorType, entity: Entity, mappings: Mappings) -> dg.TableSchema:
    """Columns of a canonical table: the model's fields between those that every table has.

    A field's description says which source fields it comes from: the UI of open-source Dagster draws no column lineage.
    """
    sources = {
        column: dict.fromkeys(f"{dep.asset_key.path[-1]}.{dep.column_name}" for dep in deps)
        for column, deps in canonical_lineage(connector, entity, mappings).deps_by_column.items()
    }
    fields = [
        (f.column, f.kind.value, _with_sources(f.description, sources.get(f.column, ())), f.is_required)
        for f in ENTITIES[entity].fields
    ]
    if all(name != _SOURCE_DATA[0] for name, *_ in fields):
        fields.append(_SOURCE_DATA)
    if entity in (Entity.PERSON, Entity.OPPORTUNITY):
        fields.append(_ACCOUNT_ID)
    return dg.TableSchema(columns=[_column(*row) for row in (*_ROW_HEAD, *fields, *_ROW_TAIL)])


def canonical_lineage(connector: ConnectorType, entity: Entity, mappings: Mappings) -> dg.TableColumnLineage:
    """Which raw columns and source fields each canonical column comes from, by the default mapping."""
    spec = ENTITIES[entity]
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for stream in streams_feeding(connector, spec.table):
        key = raw_key(connector, stream.name)
        for column in ("tenant_id", "external_id", "source_updated_at"):
            deps.setdefault(column, []).append(dg.TableColumnDep(key, column))
        for entry in mappings.get(entity, ()):
            field = target_of(entity, entry)
            if field is None or entry.stream not in (None, stream.name):
                continue
            found = deps.setdefault(field.column, [])
            found.extend(dep for name in fields_read(entry) if (dep := dg.TableColumnDep(key, name)) not in found)
    return dg.TableColumnLineage(deps_by_column=deps)


def fields_read(entry: MappingEntry) -> tuple[str, ...]:
    """Source fields an entry reads: its own, and those its expression takes from `record`."""
    extra = _RECORD_FIELD.findall(entry.custom_transform or "")
    return tuple(dict.fromkeys(name for name in (entry.source_field, *extra) if name))


def target_of(entity: Entity, entry: MappingEntry) -> Field | None:
    """The canonical field an entry fills; `sourceData.x` and `properties.x` fill the column before the dot."""
    return ENTITIES[entity].field(entry.target_field.partition(".")[0])


def _with_sources(description: str, sources: Iterable[str]) -> str:
    named = ", ".join(sources)
    return f"{description}. By default from {named}" if named else description


def _column(name: str, kind: str, description: str, is_required: bool) -> dg.TableColumn:
    if is_required:
        return dg.TableColumn(name, kind, description=description, constraints=_NOT_NULL)
    return dg.TableColumn(name, kind, description=description)
