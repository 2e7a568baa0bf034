"""Whether a slice that is left out had been read before: then it is missed. Frozen."""

from alembic import op

revision = "0020"
down_revision = "0017"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE left_out_slices ADD COLUMN was_read boolean DEFAULT false NOT NULL")
