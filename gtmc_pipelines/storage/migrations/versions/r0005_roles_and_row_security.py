"""Roles, row-level policies and least privileges. Frozen: later changes are later revisions.

gtmc_app       one tenant at a time: what a sync and a user's command need, nothing more
gtmc_fleet     reads operational columns of all tenants, for schedules and sensors
gtmc_operator  adds and lists tenants
None can log in, owns anything, or bypasses a policy. The migrating login becomes a member of each.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

# Roles belong to the server, not to the database: another database may be migrating at this moment.
ROLES = """
DO $$
DECLARE
    wanted text;
    -- Since PostgreSQL 16 who creates a role is a member of it, but may not act as it before a grant;
    -- and a member need not inherit: the login must not see through the fleet's policies unasked.
    is_16 boolean := current_setting('server_version_num')::int >= 160000;
    membership text := CASE WHEN is_16 THEN 'SET' ELSE 'MEMBER' END;
    terms text := CASE WHEN is_16 THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['gtmc_app', 'gtmc_fleet', 'gtmc_operator'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- the other migration has made it
        END;
        BEGIN
            IF NOT pg_has_role(current_user, wanted, membership) THEN
                EXECUTE format('GRANT %I TO %I', wanted, current_user) || terms;
            END IF;
        EXCEPTION WHEN unique_violation THEN
            NULL;  -- the other migration has granted it to the same login
        END;
    END LOOP;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO gtmc_app', current_database());
END
$$
"""

# The sub-select runs once a statement, not once a row. After a transaction that set the tenant, the
# setting reads '' instead of null, hence nullif.
POLICIES = """
DO $$
DECLARE
    protected record;
BEGIN
    FOR protected IN
        SELECT c.oid::regclass AS name, a.attname AS tenant_column
          FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
         WHERE c.relkind = 'r'
           AND n.nspname IN ('public', 'raw')
           AND (a.attname = 'tenant_id' OR (c.oid = 'tenants'::regclass AND a.attname = 'id'))
           AND (n.nspname = 'raw' OR c.relname = ANY (ARRAY[
                'tenants', 'connectors', 'connector_leases', 'sync_logs', 'field_mappings', 'o365_config',
                'stream_cursors', 'dead_letters', 'audit_log', 'oauth_states', 'sweep_marks',
                'accounts', 'people', 'opportunities', 'activities', 'intent_signals', 'fathom_meetings']))
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', protected.name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', protected.name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %1$s'
            || ' USING (%2$I = (SELECT nullif(current_setting(''gtmc.tenant_id'', true), '''')))'
            || ' WITH CHECK (%2$I = (SELECT nullif(current_setting(''gtmc.tenant_id'', true), '''')))',
            protected.name, protected.tenant_column);
    END LOOP;
END
$$;
CREATE POLICY operator ON tenants TO gtmc_operator USING (true) WITH CHECK (true);
CREATE POLICY fleet ON tenants FOR SELECT TO gtmc_fleet USING (true);
CREATE POLICY fleet ON connectors FOR SELECT TO gtmc_fleet USING (true);
CREATE POLICY fleet ON connector_leases FOR SELECT TO gtmc_fleet USING (true);
CREATE POLICY fleet ON sync_logs FOR SELECT TO gtmc_fleet USING (true);
CREATE POLICY fleet ON o365_config FOR SELECT TO gtmc_fleet USING (true);
CREATE POLICY fleet ON dead_letters FOR SELECT TO gtmc_fleet USING (true);
"""

GRANTS = """
GRANT USAGE ON SCHEMA public, raw TO gtmc_app;
GRANT USAGE ON SCHEMA public TO gtmc_fleet, gtmc_operator;
GRANT USAGE ON SEQUENCE batch_ids TO gtmc_app;

GRANT SELECT ON tenants TO gtmc_app;
GRANT SELECT, INSERT, UPDATE ON connectors, connector_leases, sync_logs, o365_config TO gtmc_app;
GRANT SELECT, INSERT ON audit_log TO gtmc_app;
GRANT SELECT, INSERT, UPDATE, DELETE
   ON field_mappings, stream_cursors, dead_letters, oauth_states, sweep_marks TO gtmc_app;
GRANT SELECT, INSERT, UPDATE, DELETE
   ON accounts, people, opportunities, activities, intent_signals, fathom_meetings TO gtmc_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA raw TO gtmc_app;

GRANT SELECT, INSERT ON tenants TO gtmc_operator;

GRANT SELECT (id, name, slug, created_at, updated_at) ON tenants TO gtmc_fleet;
GRANT SELECT (id, tenant_id, type, name, status, last_sync_at, last_sync_error, error_code, error_kind,
              schedule_cron, schedule_timezone, version, created_at, updated_at) ON connectors TO gtmc_fleet;
GRANT SELECT ON connector_leases, sync_logs TO gtmc_fleet;
GRANT SELECT (tenant_id, dpa_accepted_at, dpa_version, revoked_at) ON o365_config TO gtmc_fleet;
GRANT SELECT (id, tenant_id, connector_id, sync_log_id, stream, batch_id, stage, reason_code, attempts,
              first_seen_at, last_seen_at, replayed_at, resolution) ON dead_letters TO gtmc_fleet;
"""


def upgrade() -> None:
    """Create roles, then policies, then privileges."""
    op.execute(ROLES)
    op.execute(POLICIES)
    op.execute(GRANTS)
