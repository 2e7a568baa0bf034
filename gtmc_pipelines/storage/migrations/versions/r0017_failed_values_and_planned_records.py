"""Optional values that couldn't be read, records whose time is still to come, and what a lead has become. Frozen."""

from alembic import op

revision = "0017"
down_revision = "0018"

TABLES = """
CREATE TABLE IF NOT EXISTS failed_values (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    external_id text NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    reason_code text NOT NULL,
    source_field text DEFAULT '' NOT NULL,
    sync_log_id text,
    batch_id bigint NOT NULL,
    first_seen_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT failed_values_pkey
        PRIMARY KEY (tenant_id, connector_id, stream, external_id, table_name, column_name)
);

CREATE TABLE IF NOT EXISTS planned_records (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    external_id text NOT NULL,
    due_at timestamptz NOT NULL,
    CONSTRAINT planned_records_pkey PRIMARY KEY (tenant_id, connector_id, stream, external_id)
);
CREATE INDEX IF NOT EXISTS planned_records_due_idx ON planned_records (tenant_id, connector_id, due_at);

ALTER TABLE people ADD COLUMN IF NOT EXISTS converted_to text;
"""

POLICIES = """
DO $$
DECLARE
    protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['failed_values', 'planned_records'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', protected);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', protected);
        EXECUTE format('DROP POLICY IF EXISTS own_tenant ON %I', protected);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I'
            || ' USING (tenant_id = (SELECT nullif(current_setting(''gtmc.tenant_id'', true), '''')))'
            || ' WITH CHECK (tenant_id = (SELECT nullif(current_setting(''gtmc.tenant_id'', true), '''')))',
            protected);
    END LOOP;
END
$$;
DROP POLICY IF EXISTS fleet ON failed_values;
CREATE POLICY fleet ON failed_values FOR SELECT TO gtmc_fleet USING (true);
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON failed_values, planned_records TO gtmc_app;
GRANT SELECT, DELETE ON failed_values, planned_records TO gtmc_eraser;
GRANT SELECT (tenant_id, connector_id, stream, table_name, column_name, reason_code, source_field, sync_log_id,
              first_seen_at, last_seen_at) ON failed_values TO gtmc_fleet;
"""


def upgrade() -> None:
    """Create tables, column, policies and privileges."""
    op.execute(TABLES)
    op.execute(POLICIES)
    op.execute(GRANTS)
