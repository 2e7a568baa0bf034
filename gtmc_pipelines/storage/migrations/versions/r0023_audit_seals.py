"""The database chains the audit log: whoever appends a row says what was done, not its hash, time or place. Frozen."""

from alembic import op

revision = "0023"
down_revision = "0022"

# Acts as the schema's owner, for whom the head is readable as far as the row's own tenant is the transaction's.
# The lock makes one chain of rows written at once: time and place are taken under it, too.
SEAL = """
CREATE FUNCTION audit_seal() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gtmc.audit:' || NEW.tenant_id, 0));
    NEW.position := nextval(pg_get_serial_sequence('public.audit_log', 'position'));
    NEW.created_at := clock_timestamp();
    NEW.prev_hash := coalesce(
        (SELECT h.head FROM public.audit_heads h WHERE h.tenant_id = NEW.tenant_id), ''::bytea);
    NEW.hash := sha256(NEW.prev_hash || convert_to(jsonb_build_array(
        NEW.id, NEW.tenant_id, NEW.user_id, NEW.action, NEW.resource, NEW.resource_id, NEW.changes,
        NEW.metadata, extract(epoch FROM NEW.created_at))::text, 'UTF8'));
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION audit_seal() FROM PUBLIC;
CREATE TRIGGER audit_seal BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_seal();
"""


def upgrade() -> None:
    """Create the trigger; the rows there are stay as they are."""
    op.execute(SEAL)
