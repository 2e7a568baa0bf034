"""How long each tenant's audit log is and where it ends, kept where no role of ours can write. Frozen.

The functions act as the schema's owner. No role may delete rows of the log any more; a removed tenant's go by
`audit_forget`, which leaves the row that says so.
"""

from alembic import op

revision = "0011"
down_revision = "0010"

TABLE = """
CREATE TABLE audit_heads (
    tenant_id text NOT NULL,
    length bigint NOT NULL,
    head bytea NOT NULL,
    start bytea DEFAULT ''::bytea NOT NULL,
    written_at timestamptz NOT NULL,
    CONSTRAINT audit_heads_pkey PRIMARY KEY (tenant_id)
);
"""

# Forced policies bind the owner too, who has no tenant here: lifted for this transaction, which has both tables locked.
HEADS = """
ALTER TABLE audit_log NO FORCE ROW LEVEL SECURITY;
INSERT INTO audit_heads (tenant_id, length, head, written_at)
SELECT DISTINCT ON (tenant_id) tenant_id, count(*) OVER (PARTITION BY tenant_id), hash, created_at
  FROM audit_log ORDER BY tenant_id, position DESC;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;

ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON audit_heads
 USING (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')))
 WITH CHECK (tenant_id = (SELECT nullif(current_setting('gtmc.tenant_id', true), '')));
CREATE POLICY fleet ON audit_heads FOR SELECT TO gtmc_fleet USING (true);
"""

# Nobody may execute it: else it could be made the trigger of a table of one's own, and write any head.
ADVANCE = """
CREATE FUNCTION audit_advance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.audit_heads AS h (tenant_id, length, head, written_at)
    VALUES (NEW.tenant_id, 1, NEW.hash, NEW.created_at)
    ON CONFLICT (tenant_id) DO UPDATE
       SET length = h.length + 1, head = excluded.head, written_at = excluded.written_at;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION audit_advance() FROM PUBLIC;
CREATE TRIGGER audit_advance AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_advance();
"""

# What stays is chained to what went: its prev_hash is the hash of the last row that is gone.
FORGET = """
CREATE FUNCTION audit_forget(tenant text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept record;
    start_at bytea;
    gone bigint;
BEGIN
    PERFORM FROM public.audit_heads h WHERE h.tenant_id = tenant FOR UPDATE;
    SELECT l.position, l.action INTO kept
      FROM public.audit_log l WHERE l.tenant_id = tenant ORDER BY l.position DESC LIMIT 1;
    IF kept.action IS DISTINCT FROM 'tenant.remove' OR EXISTS (SELECT FROM public.tenants t WHERE t.id = tenant) THEN
        RAISE EXCEPTION 'the audit log of a tenant goes with the tenant, and its newest row says so';
    END IF;
    SELECT l.hash INTO start_at FROM public.audit_log l
     WHERE l.tenant_id = tenant AND l.position < kept.position ORDER BY l.position DESC LIMIT 1;
    DELETE FROM public.audit_log l WHERE l.tenant_id = tenant AND l.position < kept.position;
    GET DIAGNOSTICS gone = ROW_COUNT;
    UPDATE public.audit_heads h SET length = h.length - gone, start = coalesce(start_at, h.start)
     WHERE h.tenant_id = tenant;
    RETURN gone;
END
$$;
REVOKE ALL ON FUNCTION audit_forget(text) FROM PUBLIC;
"""

GRANTS = """
REVOKE DELETE ON audit_log FROM gtmc_eraser;
GRANT EXECUTE ON FUNCTION audit_forget(text) TO gtmc_eraser;
GRANT SELECT ON audit_heads TO gtmc_app, gtmc_fleet;
"""


def upgrade() -> None:
    """Create the table, give every chain its head, then guard both."""
    for step in (TABLE, HEADS, ADVANCE, FORGET, GRANTS):
        op.execute(step)
