"""Sync logs keep what a sync cost at the vendor and why one became full; renormalizing is no full sync. Frozen."""

from alembic import op

revision = "0018"
down_revision = "0013"

COLUMNS = """
ALTER TABLE sync_logs
    ADD COLUMN IF NOT EXISTS vendor_usage jsonb DEFAULT '{}' NOT NULL,
    ADD COLUMN IF NOT EXISTS full_because text;
"""
# Nothing was read anew by these: of the two documented words, `full` was the wrong one. `trigger` says what they are.
MEND = """
ALTER TABLE sync_logs NO FORCE ROW LEVEL SECURITY;
UPDATE sync_logs SET sync_type = 'incremental' WHERE trigger = 'renormalize' AND sync_type = 'full';
ALTER TABLE sync_logs FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    """Add the columns, and call earlier renormalizings by the right word."""
    op.execute(COLUMNS)
    op.execute(MEND)
