"""Which tenant holds a vendor's account: nobody else's connector is bound to it unasked. Frozen.

A unique key sees every tenant's rows, whatever row security hides. Connected Salesforce and Office 365 connectors have
stored whose account theirs is; two that share one go on, a seat each. The others are noted when they are next verified
or connected.
"""

from alembic import op

revision = "0022"
down_revision = "0014"

TABLE = """
CREATE TABLE connection_owners (
    connector_type text NOT NULL,
    account_hash bytea NOT NULL,
    seat integer NOT NULL,
    tenant_id text NOT NULL,
    connector_id text NOT NULL,
    claimed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT connection_owners_pkey PRIMARY KEY (connector_type, account_hash, seat),
    CONSTRAINT connection_owners_tenant_id_connector_id_fkey FOREIGN KEY (tenant_id, connector_id)
        REFERENCES connectors (tenant_id, id)
);
"""

STORED = """
ALTER TABLE connectors NO FORCE ROW LEVEL SECURITY;
INSERT INTO connection_owners (connector_type, account_hash, seat, tenant_id, connector_id)
SELECT type, sha256(convert_to(type || ':' || account, 'UTF8')), seat, tenant_id, id
  FROM (SELECT type, account, tenant_id, id,
               row_number() OVER (PARTITION BY type, account ORDER BY created_at, id) - 1 AS seat
          FROM (SELECT type, tenant_id, id, created_at,
                       CASE type WHEN 'o365' THEN lower(config #>> '{options,organization_id}')
                                 ELSE left(config #>> '{options,organization_id}', 15) END AS account
                  FROM connectors
                 WHERE type IN ('salesforce', 'o365') AND coalesce(config -> 'secrets', '{}') <> '{}') AS connected
         WHERE account <> '') AS numbered
 WHERE seat < 16;
ALTER TABLE connectors FORCE ROW LEVEL SECURITY;
"""

SECURITY = """
ALTER TABLE connection_owners ENABLE ROW LEVEL SECURITY;
ALTER TABLE connection_owners FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON connection_owners
 USING (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')));
GRANT SELECT, INSERT, DELETE ON connection_owners TO gtmc_app;
GRANT SELECT, DELETE ON connection_owners TO gtmc_eraser;
"""


def upgrade() -> None:
    """Create the table, fill it from what is stored, and guard it."""
    op.execute(TABLE)
    op.execute(STORED)
    op.execute(SECURITY)
