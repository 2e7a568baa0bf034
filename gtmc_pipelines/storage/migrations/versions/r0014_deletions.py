"""Deletions: which part of a stream each raw row came from, why a row counts as gone, and daily comparisons. Frozen.

Every new column may be null and none has a default, so no table is rewritten. A raw row that was landed before
knows no slice until it is read again.
"""

from alembic import op

revision = "0014"
down_revision = "0019"

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
CANONICAL = ("accounts", "people", "opportunities", "activities", "intent_signals", "fathom_meetings")

# Marks of sweeps that are done are not needed any more: a full read that is complete is told by its cursor now.
CURSORS = """
ALTER TABLE stream_cursors
  ADD COLUMN IF NOT EXISTS full_generation bigint,
  ADD COLUMN IF NOT EXISTS full_since timestamptz,
  ADD COLUMN IF NOT EXISTS sweep_refused_in text,
  ADD COLUMN IF NOT EXISTS absent_since timestamptz;
"""

COMPARISONS = """
CREATE TABLE IF NOT EXISTS vendor_comparisons (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    compared_at timestamptz NOT NULL,
    scope text NOT NULL,
    vendor bigint,
    ours bigint,
    lost bigint,
    extra bigint,
    not_visible bigint,
    problem text,
    CONSTRAINT vendor_comparisons_pkey PRIMARY KEY (tenant_id, connector_id, stream)
);
ALTER TABLE vendor_comparisons ENABLE ROW LEVEL SECURITY;
ALTER TABLE vendor_comparisons FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS own_tenant ON vendor_comparisons;
CREATE POLICY own_tenant ON vendor_comparisons
 USING (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')));
DROP POLICY IF EXISTS fleet ON vendor_comparisons;
CREATE POLICY fleet ON vendor_comparisons FOR SELECT TO gtmc_fleet USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON vendor_comparisons TO gtmc_app;
GRANT SELECT ON vendor_comparisons TO gtmc_fleet;
GRANT SELECT, DELETE ON vendor_comparisons TO gtmc_eraser;
"""


def upgrade() -> None:
    """Add the columns, then the table."""
    for name in STREAMS:
        op.execute(
            f"ALTER TABLE raw.{name} ADD COLUMN IF NOT EXISTS slice text, ADD COLUMN IF NOT EXISTS deleted_reason text"
        )
    for name in CANONICAL:
        op.execute(f"ALTER TABLE {name} ADD COLUMN IF NOT EXISTS deleted_reason text")
    op.execute(CURSORS)
    op.execute(COMPARISONS)
