"""The deletion sweep: what complete full reads didn't see is marked as gone, within reason.

A full read may take several syncs (it goes on after a failure), so its generation is a number drawn from
the batch ids when it begins: every batch of it has a higher one. A record was seen when it was landed by
such a batch or marked as seen because nothing of it had changed. Each slice of a stream has a full read of
its own; what they all didn't see is marked at once, at the end of the stream (`Parts` says by which reads).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import ENTITIES
from gtmc_pipelines.model.records import Unseen
from gtmc_pipelines.storage import bookkeeping, failed_values, leases, planned_records, sync_logs
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import UNMAPPED
from gtmc_pipelines.storage.statements import Handle, driver, row, rows, run
from gtmc_pipelines.storage.sweep_parts import SLICE_GONE, Parts, close_parts

CEILING = 0.20
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found. When `refusal` is set nothing was deleted and a person has to confirm.

    `stored` is how many live records the stream had, `missing` how many of them the full reads didn't see,
    `deleted` how many canonical rows of the primary entity were marked.
    """

    stored: int
    missing: int
    deleted: int = 0
    refusal: str = ""

    @property
    def is_refused(self) -> bool:
        """True when the sweep wants a confirmation."""
        return bool(self.refusal)

    @property
    def share(self) -> float:
        """Missing records as a share of the stored ones."""
        return self.missing / self.stored if self.stored else 0.0


def new_generation(handle: Handle) -> int:
    """The generation of a full read that begins now. Keep it with the read's cursor until it is complete."""
    drawn = row(handle, "SELECT nextval('batch_ids') AS generation")
    assert drawn is not None
    return int(drawn["generation"])


def preview(database: Database, target: BatchTarget, parts: Parts, *, ceiling: float = CEILING) -> SweepResult:
    """What a sweep would find now; nothing is written."""
    with database.tenant(target.tenant_id) as handle:
        handle.exec_driver_sql(_TWO_SETS)
        stored, missing = _compare(handle, target, parts)
    return SweepResult(stored, missing, refusal=_refusal(stored, missing, ceiling))


def unseen(database: Database, target: BatchTarget, parts: Parts) -> Iterator[tuple[str, list[Unseen]]]:
    """The records a sweep would mark now, slice by slice ("": of no single one); slices that are gone left out."""
    statement = sql.SQL(_LIST).format(raw=_raw(target), unseen=sql.SQL(_UNSEEN))
    with database.tenant(target.tenant_id) as handle:
        handle.exec_driver_sql(_TWO_SETS)
        found = rows(handle, statement, _values(target, parts.without_gone))
    for slice in dict.fromkeys(each["slice"] for each in found):
        yield slice, [Unseen(each["external_id"], each["at"]) for each in found if each["slice"] == slice]


def mark_present(database: Database, target: BatchTarget, ids: Sequence[str]) -> None:
    """Note records as seen that the vendor has, although no read delivers them."""
    with database.tenant(target.tenant_id) as handle:
        leases.assert_fence(handle, target.tenant_id, target.connector_id, target.fence)
        bookkeeping.mark_ids(driver(handle), target, ids)


def sweep(
    database: Database,
    target: BatchTarget,
    parts: Parts,
    prefixes: tuple[str, ...] = ("",),
    *,
    reason: str = "absent",
    ceiling: float = CEILING,
) -> SweepResult:
    """Mark what the complete full reads of `parts` did not see as deleted, in one transaction.

    `prefixes` are the `external_id_prefix` of the stream's mappers, in the order of its entities; `reason` is
    what the rows say about it. Refused above `ceiling` (a share of the stream's live records; 1.0 confirms
    anything). Deletions go on the sync's sheet as read and deleted, so that it balances; they are not part of
    the batches' counts. Full reads are swept by once: asked again (a retried activity), there are none.
    """
    with database.tenant(target.tenant_id) as handle:
        leases.assert_fence(handle, target.tenant_id, target.connector_id, target.fence)
        handle.exec_driver_sql(_TWO_SETS)
        stored, missing = _compare(handle, target, parts)
        refusal = _refusal(stored, missing, ceiling)
        if refusal:
            close_parts(handle, target, parts, is_refused=True)
            return SweepResult(stored, missing, refusal=refusal)
        gone = _mark_raw(handle, target, parts, reason) if missing else {}
        handle.exec_driver_sql("SET LOCAL enable_nestloop = on")
        deleted = sum(_mark_canonical(handle, target, ids, prefixes, why) for why, ids in gone.items())
        for ids in gone.values():
            for notes in (failed_values, planned_records):
                notes.forget(handle, target.tenant_id, target.connector_id, target.stream.name, ids)
        if deleted:
            sheet = Counts(read=deleted, deleted=deleted)
            name = target.stream.name
            sync_logs.add_counts(handle, target.tenant_id, target.sync_log_id, name, sheet, state="complete")
        close_parts(handle, target, parts, is_refused=False)
        return SweepResult(stored, missing, deleted)


def _compare(handle: Handle, target: BatchTarget, parts: Parts) -> tuple[int, int]:
    statement = sql.SQL(_COUNT).format(raw=_raw(target), unseen=sql.SQL(_UNSEEN))
    found = row(handle, statement, _values(target, parts))
    assert found is not None
    return int(found["stored"]), int(found["missing"])


def _refusal(stored: int, missing: int, ceiling: float) -> str:
    if missing <= stored * ceiling:
        return ""
    if missing == stored:
        return f"The full read saw none of the {stored:,} records that are stored."
    return (
        f"The full read did not see {missing:,} of {stored:,} stored records "
        f"({missing / stored:.0%}); more than {ceiling:.0%} need a confirmation."
    )


def _mark_raw(handle: Handle, target: BatchTarget, parts: Parts, reason: str) -> dict[str, list[str]]:
    """Ids by reason. An empty hash lets the record come back even if it returns exactly as it was."""
    statement = sql.SQL(_MARK_RAW).format(raw=_raw(target), unseen=sql.SQL(_UNSEEN))
    values = _values(target, parts) | {"unmapped": UNMAPPED, "reason": reason, "gone": SLICE_GONE}
    gone: dict[str, list[str]] = {}
    for found in rows(handle, statement, values):
        gone.setdefault(found["deleted_reason"], []).append(found["external_id"])
    return gone


def _mark_canonical(
    handle: Handle, target: BatchTarget, gone: list[str], prefixes: tuple[str, ...], reason: str
) -> int:
    """How many rows of the primary entity were marked."""
    marked = [0] * len(target.stream.entities)
    for position, entity in enumerate(target.stream.entities):
        prefix = prefixes[position] if position < len(prefixes) else ""
        statement = sql.SQL(_MARK_CANONICAL).format(table=sql.Identifier(ENTITIES[entity].table))
        for start in range(0, len(gone), _BATCH):
            ids = [prefix + external_id for external_id in gone[start : start + _BATCH]]
            values = {"tenant": target.tenant_id, "source": target.stream.connector.value}
            marked[position] += run(handle, statement, values | {"ids": ids, "reason": reason})
    return marked[0]


def _raw(target: BatchTarget) -> sql.Composable:
    return sql.Identifier(*target.stream.raw_table.split("."))


def _values(target: BatchTarget, parts: Parts) -> dict[str, object]:
    return {
        "tenant": target.tenant_id,
        "connector": target.connector_id,
        "stream": target.stream.name,
        "slices": [part.slice for part in parts.all],
        "generations": [part.generation for part in parts.all],
        "sinces": [part.since for part in parts.all],
        "are_gone": [part.is_gone for part in parts.all],
    }


_TWO_SETS = "SET LOCAL enable_nestloop = off"  # two whole sets are compared

_UNSEEN = """unnest(%(slices)s::text[], %(generations)s::bigint[], %(sinces)s::timestamptz[], %(are_gone)s::boolean[])
       AS p (slice, generation, since, is_gone)
 WHERE r.tenant_id = %(tenant)s AND NOT r.deleted AND coalesce(r.slice, '') = p.slice
   AND (p.is_gone OR r.batch_id IS NULL OR r.batch_id < p.generation)
   AND (p.since IS NULL OR r.source_updated_at >= p.since)
   AND (p.is_gone OR NOT EXISTS (SELECT FROM sweep_marks AS m
        WHERE m.tenant_id = %(tenant)s AND m.connector_id = %(connector)s AND m.stream = %(stream)s
          AND m.generation >= p.generation AND m.external_id = r.external_id))"""

_COUNT = """
SELECT (SELECT count(*) FROM {raw} WHERE tenant_id = %(tenant)s AND NOT deleted) AS stored,
       (SELECT count(*) FROM {raw} AS r, {unseen}) AS missing
"""

_LIST = """
SELECT p.slice, r.external_id, r.source_updated_at AS at FROM {raw} AS r, {unseen} ORDER BY p.slice, r.external_id
"""

_MARK_RAW = """
UPDATE {raw} AS r SET deleted = true, content_hash = %(unmapped)s, extracted_at = now(),
  deleted_reason = CASE WHEN p.is_gone THEN %(gone)s ELSE %(reason)s END
FROM {unseen}
RETURNING r.external_id, r.deleted_reason
"""

_MARK_CANONICAL = """
UPDATE {table} SET deleted_at = now(), updated_at = now(), deleted_reason = %(reason)s
WHERE tenant_id = %(tenant)s AND source = %(source)s AND external_id = ANY(%(ids)s) AND deleted_at IS NULL
"""
