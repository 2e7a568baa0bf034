"""What erasing needs: keyed hashes of erased people, their key, and a role that may delete a tenant. Frozen."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = """
CREATE TABLE erased_people (
    tenant_id text NOT NULL,
    mark_hash bytea NOT NULL,
    kind text NOT NULL,
    erased_at timestamptz DEFAULT now() NOT NULL,
    erased_by text NOT NULL,
    CONSTRAINT erased_people_pkey PRIMARY KEY (tenant_id, mark_hash),
    CONSTRAINT erased_people_kind_check CHECK (kind IN ('email', 'external_id'))
);

CREATE TABLE erasure_keys (
    tenant_id text NOT NULL,
    sealed text NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT erasure_keys_pkey PRIMARY KEY (tenant_id)
);
"""

# As in 0005: roles belong to the server, and another database may be migrating at this moment.
ROLE = """
DO $$
DECLARE
    is_16 boolean := current_setting('server_version_num')::int >= 160000;
    membership text := CASE WHEN is_16 THEN 'SET' ELSE 'MEMBER' END;
    terms text := CASE WHEN is_16 THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
BEGIN
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gtmc_eraser') THEN
            CREATE ROLE gtmc_eraser NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
        END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- the other migration has made it
    END;
    BEGIN
        IF NOT pg_has_role(current_user, 'gtmc_eraser', membership) THEN
            EXECUTE format('GRANT gtmc_eraser TO %I', current_user) || terms;
        END IF;
    EXCEPTION WHEN unique_violation THEN
        NULL;  -- the other migration has granted it to the same login
    END;
END
$$
"""

POLICIES = """
DO $$
DECLARE
    protected text;
BEGIN
    FOREACH protected IN ARRAY ARRAY['erased_people', 'erasure_keys'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', protected);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', protected);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I'
            || ' USING (tenant_id = (SELECT nullif(current_setting(''gtmc.tenant_id'', true), '''')))'
            || ' WITH CHECK (tenant_id = (SELECT nullif(current_setting(''gtmc.tenant_id'', true), '''')))',
            protected);
    END LOOP;
END
$$
"""

# The tenant's own policy binds the eraser too: one tenant at a time, the one that is named.
GRANTS = """
GRANT SELECT, INSERT ON erased_people TO gtmc_app;
GRANT SELECT, INSERT, UPDATE ON erasure_keys TO gtmc_app;

GRANT USAGE ON SCHEMA public, raw TO gtmc_eraser;
GRANT SELECT, DELETE
   ON tenants, connectors, connector_leases, sync_logs, field_mappings, o365_config, stream_cursors, dead_letters,
      oauth_states, sweep_marks, audit_log, erased_people, erasure_keys,
      accounts, people, opportunities, activities, intent_signals, fathom_meetings TO gtmc_eraser;
GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA raw TO gtmc_eraser;
GRANT INSERT ON audit_log TO gtmc_eraser;
"""


def upgrade() -> None:
    """Create tables, role, policies and privileges."""
    op.execute(TABLES)
    op.execute(ROLE)
    op.execute(POLICIES)
    op.execute(GRANTS)
