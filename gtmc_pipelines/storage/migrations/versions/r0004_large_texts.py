"""Transcripts and raw payloads are compressed with lz4 where the server has it. Frozen."""

from alembic import op

revision = "0004"
down_revision = "0003"

LARGE_TEXTS = """
DO $$
DECLARE
    raw_table record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        RETURN;
    END IF;
    ALTER TABLE fathom_meetings ALTER COLUMN transcript SET COMPRESSION lz4;
    FOR raw_table IN SELECT tablename FROM pg_tables WHERE schemaname = 'raw' LOOP
        EXECUTE format('ALTER TABLE raw.%I ALTER COLUMN payload SET COMPRESSION lz4', raw_table.tablename);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    """Set the column compression."""
    op.execute(LARGE_TEXTS)
