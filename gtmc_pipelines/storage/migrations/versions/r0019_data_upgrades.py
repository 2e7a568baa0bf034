"""What `gtmc upgrade-data` has done for each connector, so that a second run does nothing. Frozen."""

from alembic import op

revision = "0019"
down_revision = "0020"

TABLE = """
CREATE TABLE data_upgrades (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    step text NOT NULL,
    version text NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    finished_at timestamptz,
    outcome text,
    workflow_id text,
    counts_before jsonb DEFAULT '{}' NOT NULL,
    counts_after jsonb,
    requested_by text NOT NULL,
    CONSTRAINT data_upgrades_pkey PRIMARY KEY (tenant_id, connector_id, step, version),
    CONSTRAINT data_upgrades_tenant_id_fkey FOREIGN KEY (tenant_id, connector_id)
        REFERENCES connectors (tenant_id, id),
    CONSTRAINT data_upgrades_outcome_check CHECK (outcome IN ('done', 'accepted', 'declined'))
);
"""

SECURITY = """
ALTER TABLE data_upgrades ENABLE ROW LEVEL SECURITY;
ALTER TABLE data_upgrades FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON data_upgrades
 USING (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')));
GRANT SELECT, INSERT, UPDATE ON data_upgrades TO gtmc_app;
GRANT SELECT, DELETE ON data_upgrades TO gtmc_eraser;
"""


def upgrade() -> None:
    """Create the table and guard it."""
    op.execute(TABLE)
    op.execute(SECURITY)
