"""Accounts as the CRM says, filled with what enrichment knows where the CRM says nothing. Frozen."""

from alembic import op

revision = "0007"
down_revision = "0006"

VIEW = """
CREATE VIEW accounts_enriched WITH (security_invoker = true) AS
SELECT account.id,
       account.tenant_id,
       account.source,
       account.external_id,
       account.name,
       account.domain,
       coalesce(account.industry, enriched.industry) AS industry,
       coalesce(account.employee_count, enriched.employee_count) AS employee_count,
       coalesce(account.annual_revenue, enriched.annual_revenue) AS annual_revenue,
       enriched.id AS enriched_by_id,
       account.created_at,
       greatest(account.updated_at, enriched.updated_at) AS updated_at
  FROM accounts account
  LEFT JOIN accounts enriched
    ON enriched.tenant_id = account.tenant_id
   AND enriched.source = 'delivrai'
   AND enriched.external_id = account.domain
   AND enriched.deleted_at IS NULL
 WHERE account.source <> 'delivrai'
   AND account.deleted_at IS NULL;
COMMENT ON VIEW accounts_enriched IS
    'Live CRM accounts; empty industry, employee_count and annual_revenue filled from Delivr.ai by domain';
GRANT SELECT ON accounts_enriched TO gtmc_app;
"""


def upgrade() -> None:
    """Create the view. It reads with the rights of who asks, so row security holds."""
    op.execute(VIEW)
