"""What goes on the books with a batch: fence, dead letters, marks of the sweep, counts and checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import psycopg

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Reject, Retry
from gtmc_pipelines.model.phases import Phase
from gtmc_pipelines.storage import cursors, dead_letters, leases, sync_logs
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.dead_letters import NewLetter, missing_id
from gtmc_pipelines.storage.engine import begin_tenant
from gtmc_pipelines.storage.landing import MAX_ID_BYTES, Prepared, is_storable_id
from gtmc_pipelines.storage.write_errors import is_of_a_record

_READABLE_CHARACTERS = 80


def begin(connection: psycopg.Connection[Any], target: BatchTarget) -> tuple[int, str]:
    """Set the tenant, hold the lease; gives the batch's id and the transaction's.

    Raises the lease's error when the fence is lost.
    """
    begin_tenant(connection, target.tenant_id)
    leases.assert_fence(connection, target.tenant_id, target.connector_id, target.fence)
    drawn = connection.execute("SELECT nextval('batch_ids'), pg_current_xact_id()::text").fetchone()
    assert drawn is not None
    return int(drawn[0]), str(drawn[1])


def has_committed(connection: psycopg.Connection[Any], transaction_id: str) -> bool:
    """Whether a transaction whose COMMIT was never answered has committed. Raises Retry while it is undecided."""
    found = connection.execute("SELECT pg_xact_status(%s::xid8)", (transaction_id,)).fetchone()
    connection.commit()
    if found is not None and found[0] == "in progress":
        raise Retry("commit_undecided", "PostgreSQL has not decided yet about the last batch.")
    return found is not None and found[0] == "committed"


def close(
    connection: psycopg.Connection[Any], target: BatchTarget, batch: Batch, counts: Counts, failed_values: int = 0
) -> None:
    """Keep the checkpoint, or the watermark of a read that is complete now; add the counts to the sync's sheet."""
    name = target.stream.name
    state = cursors.get_state(connection, target.tenant_id, target.connector_id, name, target.slice)
    state = replace(
        state,
        checkpoint=batch.checkpoint,
        mode=None if batch.is_last else target.mode,
        until=None if batch.is_last else target.until,
        watermark=batch.watermark or state.watermark if batch.is_last else state.watermark,
        generation=target.generation,
        sync_log_id=target.sync_log_id,
    )
    cursors.put_state(connection, target.tenant_id, target.connector_id, state)
    if batch.is_last and target.generation and batch.covers.tells:
        cursors.note_full_read(connection, target.tenant_id, target.connector_id, state, batch.covers.since)
    sync_logs.add_counts(
        connection,
        target.tenant_id,
        target.sync_log_id,
        name,
        counts,
        state="complete" if batch.is_last and not target.slice else "running",
        phase=Phase.WRITING if batch.is_last else Phase.SYNCING,
        failed_values=failed_values,
    )


def rejected(external_id: str, reject: Reject) -> NewLetter:
    """The letter of a record its mapping refused: reason and field, never the value."""
    return NewLetter(external_id, "map", reject.code, f"field {reject.field}" if reject.field else "")


def letters_of_unlandable(batch: Batch, prepared: Prepared, batch_id: int) -> list[NewLetter]:
    """Letters of what can't even be landed: rejects of the connector and ids that can't be keys."""
    letters = [
        NewLetter(_key(reject.external_id, batch_id, position), "read", reject.reason_code, reject.detail)
        for position, reject in enumerate(batch.rejects)
    ]
    detail = "no table can hold its id"
    letters += [
        NewLetter(_key(record.external_id, batch_id, position), "write", "unstorable_id", detail).keeping(record)
        for position, record in enumerate(prepared.without_storable_id, len(letters))
    ]
    return letters


def dead_letter_batch(
    connection: psycopg.Connection[Any],
    target: BatchTarget,
    batch: Batch,
    prepared: Prepared,
    attempts: int,
    cause: str,
) -> Counts:
    """Give up on a whole batch: every record of it becomes a letter with its payload, and the read goes on."""
    batch_id, _ = begin(connection, target)
    detail = f"refused {attempts} times: {cause}"
    letters = letters_of_unlandable(batch, prepared, batch_id)
    letters += [
        NewLetter(key, "write", "batch_failed", detail).keeping(record) for key, record in prepared.newest.items()
    ]
    skipped = batch.skipped + prepared.repeated
    counts = Counts(read=batch.read, failed=len(letters), skipped=skipped)
    dead_letter(connection, target, batch_id, letters)
    mark_seen(connection, target, batch, list(prepared.newest))
    close(connection, target, batch, counts)
    return counts


def open_letters(connection: psycopg.Connection[Any], target: BatchTarget, limit: int) -> set[str]:
    """Ids of the stream's records that wait as dead letters, `limit` of them at most."""
    with connection.transaction():
        begin_tenant(connection, target.tenant_id)
        if not dead_letters.has_open(connection, target.tenant_id, target.connector_id, target.stream.name):
            return set()
        return {row[0] for row in connection.execute(_OPEN, {**_key_of(target), "limit": limit}).fetchall()}


def dead_letter(
    connection: psycopg.Connection[Any],
    target: BatchTarget,
    batch_id: int,
    letters: Sequence[NewLetter],
    *,
    is_of_raw: bool = False,
) -> None:
    """Store letters, halving around payloads that jsonb refuses: those are kept in base64."""
    if not letters:
        return
    try:
        with connection.transaction():
            dead_letters.upsert_letters(
                connection,
                target.tenant_id,
                target.connector_id,
                target.stream.name,
                letters,
                sync_log_id=target.sync_log_id,
                batch_id=batch_id,
                is_of_raw=is_of_raw,
            )
        return
    except psycopg.Error as error:
        if not is_of_a_record(error) or (len(letters) == 1 and letters[0].payload is None):
            raise
    middle = len(letters) // 2
    for part in [letters[:middle], letters[middle:]] if middle else [[_lighter(letters[0])]]:
        dead_letter(connection, target, batch_id, part, is_of_raw=is_of_raw)


def resolve_letters(
    connection: psycopg.Connection[Any],
    target: BatchTarget,
    ids: Sequence[str],
    resolution: str = "written",
    kind: dead_letters.Kind = "any",
) -> None:
    """Close the letters of records that are fine now (see `dead_letters.resolve`)."""
    if ids:
        tenant, connector, stream = target.tenant_id, target.connector_id, target.stream.name
        dead_letters.resolve(connection, tenant, connector, stream, ids, resolution, kind)


def mark_seen(connection: psycopg.Connection[Any], target: BatchTarget, batch: Batch, ids: Sequence[str]) -> None:
    """If a sweep will follow, note that these records were seen although nothing of them was landed."""
    if not target.mark_seen:
        return
    mark_ids(connection, target, [*ids, *_ids_of_rejects(batch)])


def mark_ids(connection: psycopg.Connection[Any], target: BatchTarget, ids: Sequence[str]) -> None:
    """Note records as seen by the full read of this target."""
    if ids:
        connection.execute(_MARK, {**_key_of(target), "generation": target.generation, "ids": list(ids)})


def _ids_of_rejects(batch: Batch) -> list[str]:
    rejected_ids = [reject.external_id for reject in batch.rejects if reject.external_id]
    return list(filter(is_storable_id, rejected_ids))


def _lighter(letter: NewLetter) -> NewLetter:
    """The letter with its payload as base64; without it when even that is more than jsonb can hold."""
    payload = letter.payload or b""
    in_base64 = dead_letters.in_base64(payload).encode()
    return replace(letter, payload=None if dead_letters.is_in_base64(payload) else in_base64)


def _key(external_id: str | None, batch_id: int, position: int) -> str:
    """The id itself when a table can hold it; else what is readable of it and a digest; a place for none at all."""
    if not external_id:
        return missing_id(batch_id, position)
    if is_storable_id(external_id):
        return external_id
    raw = external_id.encode("utf-8", "surrogatepass")
    readable = external_id[:_READABLE_CHARACTERS].encode("ascii", "backslashreplace").decode().replace("\0", "\\0")
    return f"{readable}…{blake2b(raw, digest_size=8).hexdigest()}"[:MAX_ID_BYTES]


def _key_of(target: BatchTarget) -> dict[str, Any]:
    return {"tenant": target.tenant_id, "connector": target.connector_id, "stream": target.stream.name}


_OPEN = """
SELECT DISTINCT external_id FROM dead_letters
WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s AND replayed_at IS NULL
LIMIT %(limit)s
"""

_MARK = """
INSERT INTO sweep_marks (tenant_id, connector_id, stream, generation, external_id)
SELECT %(tenant)s, %(connector)s, %(stream)s, %(generation)s, unnest(%(ids)s::text[]) ON CONFLICT DO NOTHING
"""
