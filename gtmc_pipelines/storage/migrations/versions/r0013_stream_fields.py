"""Which source fields each stream's syncs read, and which of them the vendor has hidden since. Frozen."""

from alembic import op

revision = "0013"
down_revision = "0015"

TABLE = """
CREATE TABLE stream_fields (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    offered jsonb DEFAULT '[]'::jsonb NOT NULL,
    shares jsonb DEFAULT '{}'::jsonb NOT NULL,
    hidden jsonb DEFAULT '{}'::jsonb NOT NULL,
    sample jsonb DEFAULT '[]'::jsonb NOT NULL,
    seen_at timestamptz,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT stream_fields_pkey PRIMARY KEY (tenant_id, connector_id, stream)
);
"""

POLICIES = """
ALTER TABLE stream_fields ENABLE ROW LEVEL SECURITY;
ALTER TABLE stream_fields FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON stream_fields
 USING (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')));
CREATE POLICY fleet ON stream_fields FOR SELECT TO gtmc_fleet USING (true);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON stream_fields TO gtmc_app;
GRANT SELECT (tenant_id, connector_id, stream, hidden, seen_at) ON stream_fields TO gtmc_fleet;
GRANT SELECT, DELETE ON stream_fields TO gtmc_eraser;
"""


def upgrade() -> None:
    """Create the table with its policies and privileges."""
    op.execute(TABLE)
    op.execute(POLICIES)
    op.execute(GRANTS)
