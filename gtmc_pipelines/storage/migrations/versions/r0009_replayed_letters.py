"""Dead letters keep what their record's payload doesn't say; open ones are found by an index. Frozen."""

from alembic import op

revision = "0009"
down_revision = "0008"

COLUMNS = """
ALTER TABLE dead_letters
    ADD COLUMN source_updated_at timestamptz,
    ADD COLUMN deleted boolean DEFAULT false NOT NULL;
CREATE INDEX dead_letters_open_idx ON dead_letters (tenant_id, connector_id, stream, last_seen_at)
    WHERE replayed_at IS NULL;
"""


def upgrade() -> None:
    """Add columns and index."""
    op.execute(COLUMNS)
