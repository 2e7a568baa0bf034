"""The platform's tables as SQLAlchemy sees them; migrations create them and a test holds both equal.

Canonical and raw tables are in `data_tables`, generated from the model.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType

METADATA = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

BATCH_IDS = Sequence("batch_ids", metadata=METADATA, data_type=BigInteger)


def required_text(name: str, default: str | None = None, **kwargs: Any) -> Column[Any]:
    """A text column that is never null."""
    return Column(name, Text, nullable=False, server_default=default, **kwargs)


def moment(name: str, *, required: bool = False, now: bool = False) -> Column[Any]:
    """A timestamptz column; `now` makes the transaction's time its default."""
    return Column(
        name, TIMESTAMP(timezone=True), nullable=not (required or now), server_default=text("now()") if now else None
    )


def document(name: str, default: str | None = None) -> Column[Any]:
    """A jsonb column; with a default it is never null."""
    return Column(name, JSONB, nullable=default is None, server_default=default)


def number(name: str, default: str = "0") -> Column[Any]:
    """A bigint column that is never null."""
    return Column(name, BigInteger, nullable=False, server_default=default)


def _one_of(column: str, values: Any) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


def of_a_connector() -> ForeignKeyConstraint:
    """Rows of a tenant's connector."""
    return ForeignKeyConstraint(["tenant_id", "connector_id"], ["connectors.tenant_id", "connectors.id"])


tenants = Table(
    "tenants",
    METADATA,
    Column("id", Text, primary_key=True),
    required_text("name"),
    required_text("slug", unique=True),
    document("settings", "{}"),
    moment("created_at", now=True),
    moment("updated_at", now=True),
)

connectors = Table(
    "connectors",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.id"), nullable=False),
    required_text("type"),
    required_text("name"),
    document("config", "{}"),  # {"options": plain settings, "secrets": {name: sealed text}}
    required_text("status", "disconnected"),
    moment("last_sync_at"),  # of the last successful sync
    Column("last_sync_cursor", Text),
    Column("last_sync_error", Text),
    Column("error_code", Text),
    Column("error_kind", Text),  # leaf of the error tree, lower case: whose turn it is
    document("field_mappings"),  # legacy of the platform; the table of that name replaces it
    Column("schedule_cron", Text),
    required_text("schedule_timezone", "UTC"),
    number("version"),
    moment("created_at", now=True),
    moment("updated_at", now=True),
    UniqueConstraint("tenant_id", "type"),
    UniqueConstraint("tenant_id", "id"),
    CheckConstraint(_one_of("type", ConnectorType), name="type"),
    CheckConstraint(_one_of("status", ConnectorStatus), name="status"),
)

connector_leases = Table(
    "connector_leases",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("owner_run", Text),
    Column("owner_workflow", Text),
    Column("owner_namespace", Text),
    number("token"),
    moment("acquired_at", now=True),
    of_a_connector(),
)

sync_logs = Table(
    "sync_logs",
    METADATA,
    Column("id", Text, primary_key=True),
    required_text("tenant_id"),
    required_text("connector_id"),
    required_text("sync_type"),
    required_text("status", "running"),
    moment("started_at", now=True),
    moment("completed_at"),
    *(
        number(f"records_{name}")
        for name in ("read", "created", "updated", "unchanged", "deleted", "failed", "skipped")
    ),
    Column("error_message", Text),
    Column("error_code", Text),
    Column("error_kind", Text),
    Column("outcome", Text),
    moment("deferred_until"),
    Column("workflow_id", Text),
    Column("workflow_run_id", Text),
    Column("trigger", Text),
    Column("requested_by", Text),
    Column("dagster_run_id", Text),
    Column("phase", Text),
    Column("cursor_before", Text),
    Column("cursor_after", Text),
    document("stream_counts", "{}"),
    document("vendor_usage", "{}"),
    Column("full_because", Text),
    of_a_connector(),
    UniqueConstraint("tenant_id", "workflow_run_id"),
    CheckConstraint("sync_type IN ('full', 'incremental')", name="sync_type"),
    CheckConstraint("status IN ('running', 'completed', 'failed')", name="status"),
    Index(None, "tenant_id", "connector_id", text("started_at DESC")),
    Index(None, "workflow_id"),
    Index(None, "dagster_run_id", postgresql_where=text("dagster_run_id IS NOT NULL")),
    Index(None, "completed_at"),
)

field_mappings = Table(
    "field_mappings",
    METADATA,
    Column("id", Text, primary_key=True, server_default=text("(gen_random_uuid())::text")),
    required_text("tenant_id"),
    required_text("connector_id"),
    required_text("entity_type"),
    document("mappings", "[]"),
    Column("is_default", Boolean, nullable=False, server_default=text("false")),
    Column("version", Integer, nullable=False, server_default="1"),
    moment("updated_at", now=True),
    of_a_connector(),
    UniqueConstraint("tenant_id", "connector_id", "entity_type"),
    CheckConstraint("entity_type IN ('account', 'person', 'opportunity', 'activity')", name="entity_type"),
)

o365_config = Table(
    "o365_config",
    METADATA,
    Column("tenant_id", Text, ForeignKey("tenants.id"), primary_key=True),
    moment("dpa_accepted_at"),  # no sync while null
    Column("dpa_accepted_by", Text),
    Column("dpa_version", Text),
    moment("revoked_at"),
    Column("allowed_domains", ARRAY(Text), nullable=False, server_default="{}"),  # empty: most restrictive
    Column("tenant_o365_domain", Text),  # always excluded
)

stream_cursors = Table(
    "stream_cursors",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("slice", Text, primary_key=True, server_default=""),
    Column("cursor", Text),  # checkpoint of an unfinished read
    Column("mode", Text),  # of that unfinished read
    moment("until"),  # of that unfinished read
    Column("watermark", Text),  # where the next incremental sync starts
    number("generation"),
    Column("sync_log_id", Text),
    moment("updated_at", now=True),
    Column("full_generation", BigInteger),  # of a complete full read whose deletion sweep is still to come
    moment("full_since"),  # how far back that read went; null: everything
    Column("sweep_refused_in", Text),  # the sync whose sweep of it was above the ceiling
    moment("absent_since"),  # since when the vendor doesn't list this slice any more
)

left_out_slices = Table(
    "left_out_slices",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("slice", Text, primary_key=True),
    required_text("reason_code"),
    required_text("kind"),  # unserved, down or broken
    required_text("sentence", ""),
    required_text("sync_log_id"),  # the last sync that left it out
    number("syncs_in_a_row", "1"),
    moment("since", now=True),
    moment("last_seen_at", now=True),
    Column("was_read", Boolean, nullable=False, server_default="false"),
)

stream_fields = Table(
    "stream_fields",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    document("offered", "[]"),  # names of the fields the last sync read
    document("shares", "{}"),  # of vendors that describe nothing: how filled mapped fields were
    document("hidden", "{}"),  # mapped fields no longer shown, and since when
    document("sample", "[]"),  # ids of some records of the last sync that had any
    moment("seen_at"),
    moment("updated_at", now=True),
)

dead_letters = Table(
    "dead_letters",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    required_text("tenant_id"),
    required_text("connector_id"),
    Column("sync_log_id", Text),
    required_text("stream"),
    required_text("external_id"),  # '?<batch>:<position>' for a record without one
    Column("batch_id", BigInteger),
    required_text("stage"),
    required_text("reason_code"),
    required_text("detail", ""),
    document("payload"),  # only when the record could not be landed in its raw table
    moment("source_updated_at"),  # the record's, beside its payload
    Column("deleted", Boolean, nullable=False, server_default="false"),
    Column("attempts", Integer, nullable=False, server_default="1"),
    moment("first_seen_at", now=True),
    moment("last_seen_at", now=True),
    moment("replayed_at"),
    Column("resolution", Text),
    UniqueConstraint("tenant_id", "connector_id", "stream", "external_id", "stage", name="dead_letters_record_key"),
    Index(
        "dead_letters_open_idx",
        "tenant_id",
        "connector_id",
        "stream",
        "last_seen_at",
        postgresql_where=text("replayed_at IS NULL"),
    ),
)

failed_values = Table(
    "failed_values",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("table_name", Text, primary_key=True),
    Column("column_name", Text, primary_key=True),
    required_text("reason_code"),
    required_text("source_field", ""),
    Column("sync_log_id", Text),
    Column("batch_id", BigInteger, nullable=False),
    moment("first_seen_at", now=True),
    moment("last_seen_at", now=True),
)

planned_records = Table(
    "planned_records",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    moment("due_at", required=True),
    Index("planned_records_due_idx", "tenant_id", "connector_id", "due_at"),
)

audit_log = Table(
    "audit_log",
    METADATA,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    required_text("id", unique=True),
    required_text("tenant_id"),
    required_text("user_id"),
    required_text("action"),
    required_text("resource"),
    Column("resource_id", Text),
    document("changes", "{}"),
    document("metadata", "{}"),
    moment("created_at", required=True),
    Column("prev_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index(None, "tenant_id", "created_at"),
    Index(None, "tenant_id", "resource"),
    Index(None, "user_id"),
)

audit_heads = Table(
    "audit_heads",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("head", LargeBinary, nullable=False),
    Column("start", LargeBinary, nullable=False, server_default=text("''::bytea")),
    moment("written_at", required=True),
)

sweep_marks = Table(
    "sweep_marks",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("stream", Text, primary_key=True),
    Column("generation", BigInteger, primary_key=True),
    Column("external_id", Text, primary_key=True),
)

erased_people = Table(
    "erased_people",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("mark_hash", LargeBinary, primary_key=True),  # keyed hash of an address, or of a vendor's id
    required_text("kind"),
    moment("erased_at", now=True),
    required_text("erased_by"),
    CheckConstraint("kind IN ('email', 'external_id')", name="kind"),
)

erasure_keys = Table(
    "erasure_keys",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    required_text("sealed"),  # the key of those hashes
    moment("created_at", now=True),
)

data_upgrades = Table(
    "data_upgrades",
    METADATA,
    Column("tenant_id", Text, primary_key=True),
    Column("connector_id", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    moment("started_at", now=True),
    moment("finished_at"),
    Column("outcome", Text),  # null while it is under way
    Column("workflow_id", Text),
    document("counts_before", "{}"),
    document("counts_after"),
    required_text("requested_by"),
    of_a_connector(),
    CheckConstraint("outcome IN ('done', 'accepted', 'declined')", name="outcome"),
)
