"""The canonical tables that every connector is normalised into. Frozen: changes are later revisions."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE accounts (
    id text NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    source_updated_at timestamptz,
    name text NOT NULL,
    domain text,
    industry text,
    employee_count integer,
    annual_revenue numeric,
    source_data jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_tenant_id_source_external_id_key UNIQUE (tenant_id, source, external_id)
);
CREATE INDEX accounts_tenant_id_domain_idx ON accounts (tenant_id, domain);

CREATE TABLE people (
    id text NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    source_updated_at timestamptz,
    first_name text,
    last_name text,
    email text,
    title text,
    phone text,
    account_external_id text,
    company_name text,
    source_data jsonb,
    account_id text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT people_pkey PRIMARY KEY (id),
    CONSTRAINT people_tenant_id_source_external_id_key UNIQUE (tenant_id, source, external_id)
);
CREATE INDEX people_tenant_id_email_idx ON people (tenant_id, email);

CREATE TABLE opportunities (
    id text NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    source_updated_at timestamptz,
    name text NOT NULL,
    stage text NOT NULL,
    amount numeric,
    currency text,
    close_date date,
    probability numeric,
    is_closed boolean,
    is_won boolean,
    account_external_id text,
    owner_external_id text,
    source_data jsonb,
    account_id text,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT opportunities_pkey PRIMARY KEY (id),
    CONSTRAINT opportunities_tenant_id_source_external_id_key UNIQUE (tenant_id, source, external_id)
);
CREATE INDEX opportunities_tenant_id_account_id_idx ON opportunities (tenant_id, account_id);

CREATE TABLE activities (
    id text NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    source_updated_at timestamptz,
    type text NOT NULL,
    channel text NOT NULL,
    occurred_at timestamptz NOT NULL,
    person_external_id text,
    account_external_id text,
    properties jsonb,
    source_data jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT activities_pkey PRIMARY KEY (id),
    CONSTRAINT activities_tenant_id_source_external_id_key UNIQUE (tenant_id, source, external_id)
);
CREATE INDEX activities_tenant_id_occurred_at_idx ON activities (tenant_id, occurred_at);

CREATE TABLE intent_signals (
    id text NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    source_updated_at timestamptz,
    person_id text,
    person_email text,
    account_domain text,
    content_url text,
    content_topic text,
    occurred_at timestamptz NOT NULL,
    dwell_time_seconds numeric,
    session_id text,
    source_data jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT intent_signals_pkey PRIMARY KEY (id),
    CONSTRAINT intent_signals_tenant_id_source_external_id_key UNIQUE (tenant_id, source, external_id)
);
CREATE INDEX intent_signals_tenant_id_account_domain_idx ON intent_signals (tenant_id, account_domain);

CREATE TABLE fathom_meetings (
    id text NOT NULL,
    tenant_id text NOT NULL,
    source text NOT NULL,
    external_id text NOT NULL,
    source_updated_at timestamptz,
    fathom_meeting_id text NOT NULL,
    title text,
    occurred_at timestamptz NOT NULL,
    duration_seconds integer,
    recorded_by_email text,
    participants jsonb,
    participant_count integer,
    transcript text,
    summary text,
    sentiment_score numeric,
    sentiment jsonb,
    source_data jsonb,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT fathom_meetings_pkey PRIMARY KEY (id),
    CONSTRAINT fathom_meetings_tenant_id_source_external_id_key UNIQUE (tenant_id, source, external_id)
);
CREATE INDEX fathom_meetings_tenant_id_occurred_at_idx ON fathom_meetings (tenant_id, occurred_at);
"""


def upgrade() -> None:
    """Create them."""
    op.execute(TABLES)
