"""The platform's own tables: tenants, connectors, sync logs, cursors. Frozen: changes are later revisions."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE SEQUENCE batch_ids AS bigint;

CREATE TABLE tenants (
    id text NOT NULL,
    name text NOT NULL,
    slug text NOT NULL,
    settings jsonb DEFAULT '{}' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_slug_key UNIQUE (slug)
);

CREATE TABLE connectors (
    id text NOT NULL,
    tenant_id text NOT NULL,
    type text NOT NULL,
    name text NOT NULL,
    config jsonb DEFAULT '{}' NOT NULL,
    status text DEFAULT 'disconnected' NOT NULL,
    last_sync_at timestamptz,
    last_sync_cursor text,
    last_sync_error text,
    error_code text,
    error_kind text,
    field_mappings jsonb,
    schedule_cron text,
    schedule_timezone text DEFAULT 'UTC' NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT connectors_pkey PRIMARY KEY (id),
    CONSTRAINT connectors_tenant_id_type_key UNIQUE (tenant_id, type),
    CONSTRAINT connectors_tenant_id_id_key UNIQUE (tenant_id, id),
    CONSTRAINT connectors_type_check CHECK (type IN ('salesforce', 'customerio', 'delivrai', 'o365', 'fathom')),
    CONSTRAINT connectors_status_check CHECK (status IN ('disconnected', 'connected', 'syncing', 'error')),
    CONSTRAINT connectors_tenant_id_fkey FOREIGN KEY (tenant_id)
        REFERENCES tenants (id)
);

CREATE TABLE audit_log (
    position bigint GENERATED ALWAYS AS IDENTITY,
    id text NOT NULL,
    tenant_id text NOT NULL,
    user_id text NOT NULL,
    action text NOT NULL,
    resource text NOT NULL,
    resource_id text,
    changes jsonb DEFAULT '{}' NOT NULL,
    metadata jsonb DEFAULT '{}' NOT NULL,
    created_at timestamptz NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (position),
    CONSTRAINT audit_log_id_key UNIQUE (id)
);
CREATE INDEX audit_log_tenant_id_created_at_idx ON audit_log (tenant_id, created_at);
CREATE INDEX audit_log_tenant_id_resource_idx ON audit_log (tenant_id, resource);
CREATE INDEX audit_log_user_id_idx ON audit_log (user_id);

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    sync_log_id text,
    stream text NOT NULL,
    external_id text NOT NULL,
    batch_id bigint,
    stage text NOT NULL,
    reason_code text NOT NULL,
    detail text DEFAULT '' NOT NULL,
    payload jsonb,
    attempts integer DEFAULT 1 NOT NULL,
    first_seen_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    replayed_at timestamptz,
    resolution text,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (id),
    CONSTRAINT dead_letters_record_key UNIQUE (tenant_id, connector_id, stream, external_id, stage)
);

CREATE TABLE stream_cursors (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    slice text DEFAULT '' NOT NULL,
    cursor text,
    mode text,
    until timestamptz,
    watermark text,
    generation bigint DEFAULT 0 NOT NULL,
    sync_log_id text,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT stream_cursors_pkey PRIMARY KEY (tenant_id, connector_id, stream, slice)
);

CREATE TABLE sweep_marks (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    stream text NOT NULL,
    generation bigint NOT NULL,
    external_id text NOT NULL,
    CONSTRAINT sweep_marks_pkey PRIMARY KEY (tenant_id, connector_id, stream, generation, external_id)
);

CREATE TABLE o365_config (
    tenant_id text NOT NULL,
    dpa_accepted_at timestamptz,
    dpa_accepted_by text,
    dpa_version text,
    revoked_at timestamptz,
    allowed_domains text[] DEFAULT '{}' NOT NULL,
    tenant_o365_domain text,
    CONSTRAINT o365_config_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT o365_config_tenant_id_fkey FOREIGN KEY (tenant_id)
        REFERENCES tenants (id)
);

CREATE TABLE connector_leases (
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    owner_run text,
    owner_workflow text,
    token bigint DEFAULT 0 NOT NULL,
    acquired_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT connector_leases_pkey PRIMARY KEY (tenant_id, connector_id),
    CONSTRAINT connector_leases_tenant_id_connector_id_fkey FOREIGN KEY (tenant_id, connector_id)
        REFERENCES connectors (tenant_id, id)
);

CREATE TABLE field_mappings (
    id text DEFAULT gen_random_uuid()::text NOT NULL,
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    entity_type text NOT NULL,
    mappings jsonb DEFAULT '[]' NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT field_mappings_pkey PRIMARY KEY (id),
    CONSTRAINT field_mappings_tenant_id_connector_id_fkey FOREIGN KEY (tenant_id, connector_id)
        REFERENCES connectors (tenant_id, id),
    CONSTRAINT field_mappings_tenant_id_connector_id_entity_type_key UNIQUE (tenant_id, connector_id, entity_type),
    CONSTRAINT field_mappings_entity_type_check CHECK (entity_type IN ('account', 'person', 'opportunity', 'activity'))
);

CREATE TABLE oauth_states (
    nonce_hash bytea NOT NULL,
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT oauth_states_pkey PRIMARY KEY (nonce_hash),
    CONSTRAINT oauth_states_tenant_id_connector_id_fkey FOREIGN KEY (tenant_id, connector_id)
        REFERENCES connectors (tenant_id, id)
);

CREATE TABLE sync_logs (
    id text NOT NULL,
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    sync_type text NOT NULL,
    status text DEFAULT 'running' NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    completed_at timestamptz,
    records_read bigint DEFAULT 0 NOT NULL,
    records_created bigint DEFAULT 0 NOT NULL,
    records_updated bigint DEFAULT 0 NOT NULL,
    records_unchanged bigint DEFAULT 0 NOT NULL,
    records_deleted bigint DEFAULT 0 NOT NULL,
    records_failed bigint DEFAULT 0 NOT NULL,
    records_skipped bigint DEFAULT 0 NOT NULL,
    error_message text,
    error_code text,
    error_kind text,
    outcome text,
    deferred_until timestamptz,
    workflow_id text,
    workflow_run_id text,
    trigger text,
    requested_by text,
    dagster_run_id text,
    phase text,
    cursor_before text,
    cursor_after text,
    stream_counts jsonb DEFAULT '{}' NOT NULL,
    CONSTRAINT sync_logs_pkey PRIMARY KEY (id),
    CONSTRAINT sync_logs_tenant_id_connector_id_fkey FOREIGN KEY (tenant_id, connector_id)
        REFERENCES connectors (tenant_id, id),
    CONSTRAINT sync_logs_tenant_id_workflow_run_id_key UNIQUE (tenant_id, workflow_run_id),
    CONSTRAINT sync_logs_sync_type_check CHECK (sync_type IN ('full', 'incremental')),
    CONSTRAINT sync_logs_status_check CHECK (status IN ('running', 'completed', 'failed'))
);
CREATE INDEX sync_logs_tenant_id_connector_id_idx ON sync_logs (tenant_id, connector_id, started_at DESC);
CREATE INDEX sync_logs_workflow_id_idx ON sync_logs (workflow_id);
"""


def upgrade() -> None:
    """Create them."""
    op.execute(TABLES)
