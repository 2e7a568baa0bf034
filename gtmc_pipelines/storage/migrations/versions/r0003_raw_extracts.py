"""Schema raw: the newest version of each record, one table a stream. Frozen: changes are later revisions."""

from alembic import op

revision = "0003"
down_revision = "0002"

STREAMS = (
    "customerio_behavioral_events",
    "customerio_email_events",
    "customerio_people",
    "delivrai_company_enrichment",
    "delivrai_intent_signals",
    "fathom_meetings",
    "o365_email_metadata",
    "salesforce_accounts",
    "salesforce_contacts",
    "salesforce_events",
    "salesforce_leads",
    "salesforce_opportunities",
    "salesforce_tasks",
)

TABLE = """
CREATE TABLE raw.{name} (
    tenant_id text NOT NULL,
    external_id text NOT NULL,
    payload jsonb NOT NULL,
    content_hash bytea NOT NULL,
    source_updated_at timestamptz,
    sync_log_id text,
    batch_id bigint,
    extracted_at timestamptz DEFAULT now() NOT NULL,
    deleted boolean DEFAULT false NOT NULL,
    CONSTRAINT {name}_pkey PRIMARY KEY (tenant_id, external_id)
);
"""


def upgrade() -> None:
    """Create them."""
    op.execute("CREATE SCHEMA IF NOT EXISTS raw")
    for name in STREAMS:
        op.execute(TABLE.format(name=name))
