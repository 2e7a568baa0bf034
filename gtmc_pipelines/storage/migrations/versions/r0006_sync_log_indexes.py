"""Sync logs are found by the Dagster run that asked for them and by when they ended. Frozen."""

from alembic import op

revision = "0006"
down_revision = "0005"

INDEXES = """
CREATE INDEX sync_logs_dagster_run_id_idx ON sync_logs (dagster_run_id) WHERE dagster_run_id IS NOT NULL;
CREATE INDEX sync_logs_completed_at_idx ON sync_logs (completed_at);
"""


def upgrade() -> None:
    """Create both."""
    op.execute(INDEXES)
