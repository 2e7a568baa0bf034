"""A lease names the Temporal namespace of its owner: whoever asks about it asks there. Frozen."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the column; leases held at this moment don't name one."""
    op.execute("ALTER TABLE connector_leases ADD COLUMN owner_namespace text")
