"""Amends what is landed without asking the vendor: records that are to go, and ids that have another form now."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.entities import ENTITIES
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.landing import UNMAPPED
from gtmc_pipelines.storage.statements import Handle, rows, run

_LOCK = """
SELECT FROM connector_leases WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s FOR UPDATE
"""
_GONE_RAW = sql.SQL("""
UPDATE {table} SET deleted = true, content_hash = %(unmapped)s
 WHERE tenant_id = %(tenant)s AND external_id = ANY (%(ids)s) AND NOT deleted
""")
_GONE = sql.SQL("""
UPDATE {table} SET deleted_at = now(), updated_at = now()
 WHERE tenant_id = %(tenant)s AND source = %(source)s AND external_id = ANY (%(ids)s) AND deleted_at IS NULL
""")
# Where a row of the new id is there already, the old one stays behind, and is marked after this.
_REKEY = sql.SQL("""
UPDATE {table} AS t SET external_id = k.new_id
  FROM unnest(%(old)s::text[], %(new)s::text[]) AS k(old_id, new_id)
 WHERE t.tenant_id = %(tenant)s AND t.external_id = k.old_id {of_source}
   AND NOT EXISTS (SELECT FROM {table} AS o WHERE o.tenant_id = %(tenant)s AND o.external_id = k.new_id {others})
RETURNING k.old_id
""")


def exclude_syncs(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """Keep syncs of this connector from beginning and writing until the transaction ends.

    Raises Misuse `sync_running`, naming the workflow, when one holds the lease.
    """
    run(handle, _LOCK, {"tenant": tenant_id, "connector": connector_id})
    held = leases.holder(handle, tenant_id, connector_id)
    if held is not None:
        raise Misuse(
            "sync_running",
            f"A sync is running ({held.owner_workflow}), so nothing more of this step was changed.",
            next_step="Wait until it has ended, or cancel it, and run the same command again.",
        )


def mark_gone(handle: Handle, tenant_id: str, stream: Stream, ids: Collection[str]) -> int:
    """Mark records and the rows made of them as deleted; how many raw ones were live."""
    values = {"tenant": tenant_id, "source": stream.connector.value, "unmapped": UNMAPPED}
    marked = run(handle, _GONE_RAW.format(table=_raw(stream)), {**values, "ids": list(ids)})
    for entity in stream.entities:
        named = [stream.prefix_of(entity) + external_id for external_id in ids]
        run(handle, _GONE.format(table=sql.Identifier(ENTITIES[entity].table)), {**values, "ids": named})
    return marked


def rekey(handle: Handle, tenant_id: str, stream: Stream, keys: Mapping[str, str]) -> int:
    """Give records and their rows new ids (old to new); how many raw ones have theirs.

    Of two that come to one id, that which has it already stays and the other is marked as deleted.
    """
    first: dict[str, str] = {}
    for old, new in keys.items():
        first.setdefault(new, old)
    pairs = {old: new for new, old in first.items()}
    done = _rekeyed(handle, _raw(stream), tenant_id, pairs)
    for entity in stream.entities:
        prefix = stream.prefix_of(entity)
        named = {prefix + old: prefix + new for old, new in pairs.items()}
        _rekeyed(handle, sql.Identifier(ENTITIES[entity].table), tenant_id, named, stream.connector.value)
    mark_gone(handle, tenant_id, stream, list(keys))
    return done


def _rekeyed(
    handle: Handle, table: sql.Identifier, tenant_id: str, pairs: Mapping[str, str], source: str | None = None
) -> int:
    of_source, others = sql.SQL(""), sql.SQL("")
    if source is not None:
        of_source, others = sql.SQL("AND t.source = %(source)s"), sql.SQL("AND o.source = %(source)s")
    statement = _REKEY.format(table=table, of_source=of_source, others=others)
    values = {"tenant": tenant_id, "source": source, "old": list(pairs), "new": list(pairs.values())}
    return len(rows(handle, statement, values))


def _raw(stream: Stream) -> sql.Identifier:
    return sql.Identifier(*stream.raw_table.split("."))
