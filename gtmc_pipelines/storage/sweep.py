"""The sweep after a complete full read: what the vendor no longer has is marked as deleted, within reason.

A full read may take several syncs (it goes on after a failure), so its generation is a number drawn from
the batch ids when it begins: every batch of it has a higher one. A record was seen when it was landed by
such a batch or marked as seen because nothing of it had changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import ENTITIES
from gtmc_pipelines.storage import failed_values, leases, planned_records, sync_logs
from gtmc_pipelines.storage.batch import BatchTarget
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import UNMAPPED
from gtmc_pipelines.storage.statements import Handle, row, rows, run

CEILING = 0.20
_BATCH = 2_000


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found. When `refusal` is set nothing was deleted and a person has to confirm.

    `stored` is how many live records there were, `missing` how many of them the full read didn't see,
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


def sweep(
    database: Database, target: BatchTarget, prefixes: tuple[str, ...] = ("",), *, ceiling: float = CEILING
) -> SweepResult:
    """Mark what a complete full read of `target.stream` did not see as deleted, in one transaction.

    `prefixes` are the `external_id_prefix` of the stream's mappers, in the order of its entities. Refused
    above `ceiling` (a share of the live records; 1.0 confirms anything), and always when the read saw
    nothing at all. Deletions go on the sync's sheet as read and deleted, so that it balances; they are
    not part of the batches' counts. A generation is swept once: asked again (a retried activity), it finds
    nothing missing.
    """
    with database.tenant(target.tenant_id) as handle:
        leases.assert_fence(handle, target.tenant_id, target.connector_id, target.fence)
        handle.exec_driver_sql("SET LOCAL enable_nestloop = off")  # two whole sets are compared
        stored, missing = _compare(handle, target)
        if row(handle, _IS_SWEPT, _key(target)) is not None:
            return SweepResult(stored, 0)
        refusal = _refusal(stored, missing, ceiling)
        if refusal:
            return SweepResult(stored, missing, refusal=refusal)
        gone = _mark_raw(handle, target) if missing else []
        handle.exec_driver_sql("SET LOCAL enable_nestloop = on")
        deleted = _mark_canonical(handle, target, gone, prefixes)
        for notes in (failed_values, planned_records):
            notes.forget(handle, target.tenant_id, target.connector_id, target.stream.name, gone)
        if deleted:
            sheet = Counts(read=deleted, deleted=deleted)
            name = target.stream.name
            sync_logs.add_counts(handle, target.tenant_id, target.sync_log_id, name, sheet, state="complete")
        run(handle, _FORGET, _key(target))
        run(handle, _SWEPT, _key(target))
        return SweepResult(stored, missing, deleted)


def _compare(handle: Handle, target: BatchTarget) -> tuple[int, int]:
    found = row(handle, sql.SQL(_COUNT).format(raw=_raw(target), unseen=sql.SQL(_UNSEEN)), _key(target))
    assert found is not None
    return int(found["stored"]), int(found["missing"])


def _refusal(stored: int, missing: int, ceiling: float) -> str:
    if stored and missing == stored:
        return f"The full read saw none of the {stored:,} records that are stored."
    if missing > stored * ceiling:
        return (
            f"The full read did not see {missing:,} of {stored:,} stored records "
            f"({missing / stored:.0%}); more than {ceiling:.0%} need a confirmation."
        )
    return ""


def _mark_raw(handle: Handle, target: BatchTarget) -> list[str]:
    """An empty hash lets the record come back even if it returns exactly as it was."""
    statement = sql.SQL(_MARK_RAW).format(raw=_raw(target), unseen=sql.SQL(_UNSEEN))
    return [found["external_id"] for found in rows(handle, statement, _key(target) | {"unmapped": UNMAPPED})]


def _mark_canonical(handle: Handle, target: BatchTarget, gone: list[str], prefixes: tuple[str, ...]) -> int:
    """How many rows of the primary entity were marked."""
    marked = [0] * len(target.stream.entities)
    for position, entity in enumerate(target.stream.entities):
        prefix = prefixes[position] if position < len(prefixes) else ""
        statement = sql.SQL(_MARK_CANONICAL).format(table=sql.Identifier(ENTITIES[entity].table))
        for start in range(0, len(gone), _BATCH):
            ids = [prefix + external_id for external_id in gone[start : start + _BATCH]]
            marked[position] += run(handle, statement, _key(target) | {"ids": ids})
    return marked[0]


def _raw(target: BatchTarget) -> sql.Composable:
    return sql.Identifier(*target.stream.raw_table.split("."))


def _key(target: BatchTarget) -> dict[str, object]:
    return {
        "tenant": target.tenant_id,
        "connector": target.connector_id,
        "stream": target.stream.name,
        "source": target.stream.connector.value,
        "generation": target.generation,
    }


_UNSEEN = """r.tenant_id = %(tenant)s AND NOT r.deleted
  AND (r.batch_id IS NULL OR r.batch_id < %(generation)s)
  AND NOT EXISTS (SELECT FROM sweep_marks AS m
    WHERE m.tenant_id = %(tenant)s AND m.connector_id = %(connector)s AND m.stream = %(stream)s
      AND m.generation = %(generation)s AND m.external_id = r.external_id)"""

_COUNT = """
SELECT (SELECT count(*) FROM {raw} WHERE tenant_id = %(tenant)s AND NOT deleted) AS stored,
       (SELECT count(*) FROM {raw} AS r WHERE {unseen}) AS missing
"""

_MARK_RAW = """
UPDATE {raw} AS r SET deleted = true, content_hash = %(unmapped)s, extracted_at = now() WHERE {unseen}
RETURNING r.external_id
"""

_MARK_CANONICAL = """
UPDATE {table} SET deleted_at = now(), updated_at = now()
WHERE tenant_id = %(tenant)s AND source = %(source)s AND external_id = ANY(%(ids)s) AND deleted_at IS NULL
"""

# No record has an empty id: this mark stands for the generation itself.
_IS_SWEPT = """
SELECT FROM sweep_marks WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s
  AND generation = %(generation)s AND external_id = ''
"""

_SWEPT = """
INSERT INTO sweep_marks (tenant_id, connector_id, stream, generation, external_id)
VALUES (%(tenant)s, %(connector)s, %(stream)s, %(generation)s, '')
"""

_FORGET = """
DELETE FROM sweep_marks WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s
  AND generation <= %(generation)s
"""
