"""Canonical and raw tables, generated from the model so that they can't drift from it; what comparing them found."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.types import TypeEngine

from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.entities import ENTITIES, Entity, EntitySpec, Kind
from gtmc_pipelines.storage.connection_tables import METADATA
from gtmc_pipelines.storage.tables import document, moment, required_text

_TYPES: dict[Kind, TypeEngine[Any]] = {
    Kind.TEXT: Text(),
    Kind.INTEGER: Integer(),
    Kind.NUMERIC: Numeric(),
    Kind.BOOLEAN: Boolean(),
    Kind.TIMESTAMP: TIMESTAMP(timezone=True),
    Kind.DATE: Date(),
    Kind.JSON: JSONB(),
}

LINKED_TO_ACCOUNTS = frozenset({Entity.PERSON, Entity.OPPORTUNITY})
"""Entities with an `account_id`, derived from `account_external_id` by the write path."""

# Few on purpose: each index is paid for by every record written.
_INDEXES: dict[Entity, str] = {
    Entity.ACCOUNT: "domain",
    Entity.PERSON: "email",
    Entity.OPPORTUNITY: "account_id",
    Entity.ACTIVITY: "occurred_at",
    Entity.INTENT_SIGNAL: "account_domain",
    Entity.MEETING: "occurred_at",
}


def _canonical(spec: EntitySpec) -> Table:
    fields = [Column(f.column, _TYPES[f.kind], nullable=not f.is_required) for f in spec.fields]
    names = {column.name for column in fields}
    extra = [] if "source_data" in names else [document("source_data")]
    if spec.entity in LINKED_TO_ACCOUNTS:
        extra.append(Column("account_id", Text))
    return Table(
        spec.table,
        METADATA,
        Column("id", Text, primary_key=True),
        required_text("tenant_id"),
        required_text("source"),
        required_text("external_id"),
        moment("source_updated_at"),
        *fields,
        *extra,
        moment("created_at", now=True),
        moment("updated_at", now=True),
        moment("deleted_at"),
        Column("deleted_reason", Text),  # null: the vendor said so; else how its absence was found out
        UniqueConstraint("tenant_id", "source", "external_id"),
        Index(None, "tenant_id", _INDEXES[spec.entity]),
    )


def _raw(stream: Stream) -> Table:
    schema, name = stream.raw_table.split(".")
    return Table(
        name,
        METADATA,
        Column("tenant_id", Text, primary_key=True),
        Column("external_id", Text, primary_key=True),
        Column("payload", JSONB, nullable=False),
        Column("content_hash", LargeBinary, nullable=False),
        moment("source_updated_at"),
        Column("sync_log_id", Text),
        Column("batch_id", BigInteger),
        moment("extracted_at", now=True),
        Column("deleted", Boolean, nullable=False, server_default=text("false")),
        Column("slice", Text),  # the only slice that can hold the record; null: any, or not read since r0014
        Column("deleted_reason", Text),
        schema=schema,
    )


CANONICAL: dict[Entity, Table] = {entity: _canonical(spec) for entity, spec in ENTITIES.items()}
RAW: dict[str, Table] = {stream.raw_table: _raw(stream) for streams in STREAMS.values() for stream in streams}

vendor_comparisons = Table(
    "vendor_comparisons",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    moment("compared_at", required=True),
    required_text("scope"),  # what was compared, in words
    Column("vendor", BigInteger),
    Column("ours", BigInteger),
    Column("lost", BigInteger),
    Column("extra", BigInteger),
    Column("not_visible", BigInteger),  # of a stream whose vendor may hide records
    Column("problem", Text),  # code of the fault that prevented it
)
