"""Members of a group (mailboxes) that syncs couldn't read, with their reason and for how many syncs. Frozen."""

from alembic import op

revision = "0015"
down_revision = "0011"

TABLE = """
CREATE TABLE left_out_slices (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    slice text NOT NULL,
    reason_code text NOT NULL,
    kind text NOT NULL,
    sentence text DEFAULT '' NOT NULL,
    sync_log_id text NOT NULL,
    syncs_in_a_row bigint DEFAULT '1' NOT NULL,
    since timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT left_out_slices_pkey PRIMARY KEY (tenant_id, connector_id, stream, slice)
);
"""

# A mailbox that could not be read used to get a position all the same, which says nothing: without lists (policy "").
# Forced policies bind the owner too, who has no tenant here: lifted for this transaction.
POSITIONS = """
ALTER TABLE stream_cursors NO FORCE ROW LEVEL SECURITY;
DELETE FROM stream_cursors WHERE slice <> '' AND cursor IS NULL AND watermark LIKE '{"policy":"",%';
ALTER TABLE stream_cursors FORCE ROW LEVEL SECURITY;
"""

POLICIES = """
ALTER TABLE left_out_slices ENABLE ROW LEVEL SECURITY;
ALTER TABLE left_out_slices FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON left_out_slices
 USING (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')));
CREATE POLICY fleet ON left_out_slices FOR SELECT TO gtmc_fleet USING (true);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON left_out_slices TO gtmc_app;
GRANT SELECT ON left_out_slices TO gtmc_fleet;
GRANT SELECT, DELETE ON left_out_slices TO gtmc_eraser;
"""


def upgrade() -> None:
    """Create the table with its policies and privileges; take back positions of what was never read."""
    for step in (TABLE, POSITIONS, POLICIES, GRANTS):
        op.execute(step)
