"""Dead letters: records that could not be written, why, and how often it was tried."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, NoReturn

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run

# Few in a healthy sync, so one array a column; a record that fails again is the same letter once more.
_UPSERT = """
INSERT INTO dead_letters AS d (tenant_id, connector_id, sync_log_id, stream, external_id, batch_id, stage,
                               reason_code, detail, payload, source_updated_at, deleted, attempts)
SELECT %(tenant_id)s, %(connector_id)s, %(sync_log_id)s, %(stream)s, l.external_id, %(batch_id)s, l.stage,
       l.reason_code, l.detail, l.payload::jsonb, l.source_updated_at, l.deleted, l.attempts
  FROM unnest(%(external_ids)s::text[], %(stages)s::text[], %(reason_codes)s::text[], %(details)s::text[],
              %(payloads)s::text[], %(moments)s::timestamptz[], %(deleted)s::boolean[], %(attempts)s::integer[])
       AS l (external_id, stage, reason_code, detail, payload, source_updated_at, deleted, attempts)
ON CONFLICT (tenant_id, connector_id, stream, external_id, stage) DO UPDATE
   SET sync_log_id = excluded.sync_log_id, batch_id = excluded.batch_id, reason_code = excluded.reason_code,
       detail = excluded.detail, payload = excluded.payload, source_updated_at = excluded.source_updated_at,
       deleted = excluded.deleted, attempts = d.attempts + excluded.attempts, last_seen_at = now(),
       replayed_at = NULL, resolution = NULL
 WHERE NOT (%(is_of_raw)s AND d.replayed_at IS NULL AND d.payload IS NOT NULL)
"""
_RESOLVE = """
UPDATE dead_letters SET replayed_at = now(), resolution = %(resolution)s
 WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s AND stream = %(stream)s
   AND external_id = ANY (%(external_ids)s) AND replayed_at IS NULL AND {kind}
"""
_KINDS = {
    "any": "true",
    "of_raw": "payload IS NULL AND stage <> 'read'",
    "kept": "payload IS NOT NULL",
    "replayable": "stage <> 'read' AND reason_code <> 'unstorable_id'",
}
_OPERATIONAL = (
    "d.id, d.tenant_id, d.connector_id, c.type AS connector, d.sync_log_id, d.stream, d.batch_id, d.stage,"
    " d.reason_code, d.attempts, d.first_seen_at, d.last_seen_at, d.replayed_at, d.resolution"
)
_FROM = "FROM dead_letters d JOIN connectors c ON c.tenant_id = d.tenant_id AND c.id = d.connector_id"


Kind = Literal["any", "of_raw", "kept", "replayable"]
"""Which letters of a record are meant."""

_BACKLOG = f"""
SELECT d.tenant_id, d.connector_id, c.type AS connector, d.stream,
       count(*) FILTER (WHERE {_KINDS["replayable"]}) AS replayable,
       count(*) FILTER (WHERE NOT ({_KINDS["replayable"]})) AS unheld,
       CASE WHEN %(letters)s::bigint[] = '{{}}' THEN '{{}}' ELSE array_agg(d.id ORDER BY d.id) END AS letters
  {_FROM}
 WHERE d.replayed_at IS NULL AND (%(tenant)s::text IS NULL OR d.tenant_id = %(tenant)s)
   AND (%(connector)s::text IS NULL OR %(connector)s IN (c.id, c.type))
   AND (%(stream)s::text IS NULL OR d.stream = %(stream)s)
   AND (%(letters)s::bigint[] = '{{}}' OR d.id = ANY (%(letters)s::bigint[]))
 GROUP BY d.tenant_id, d.connector_id, c.type, d.stream ORDER BY d.tenant_id, c.type, d.stream
"""
_OF_SYNC = """
SELECT d.stream, d.reason_code, d.detail, count(*) AS letters FROM dead_letters d
 WHERE d.tenant_id = %(tenant)s AND d.sync_log_id = %(sync_log)s AND d.replayed_at IS NULL
 GROUP BY d.stream, d.reason_code, d.detail ORDER BY count(*) DESC, d.stream, d.reason_code, d.detail
"""


@dataclass(frozen=True, slots=True)
class NewLetter:
    """A record that failed. `detail` is a sentence without its data.

    `payload`, with the record's change time and whether it is a deletion, only when the record could not be
    landed in its raw table; a record without an id gets `?<batch>:<position>` for one (`missing_id`).
    """

    external_id: str
    stage: str
    reason_code: str
    detail: str
    payload: bytes | None = field(default=None, repr=False)
    attempts: int = 1
    source_updated_at: datetime | None = None
    is_deleted: bool = False

    def keeping(self, record: SourceRecord) -> NewLetter:
        """The same letter with the record in it, which no raw table holds."""
        return replace(
            self,
            payload=record.payload,
            source_updated_at=record.source_updated_at,
            is_deleted=record.is_deleted,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A stored letter. `external_id`, `detail` and `payload` are None in lists over all tenants."""

    id: int
    tenant_id: str
    connector_id: str
    connector: str
    sync_log_id: str | None
    stream: str
    batch_id: int | None
    stage: str
    reason_code: str
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime
    replayed_at: datetime | None
    resolution: str | None
    external_id: str | None = None
    detail: str | None = None
    payload: Any = field(default=None, repr=False)

    @property
    def is_open(self) -> bool:
        """True until the record has been written after all."""
        return self.replayed_at is None

    @property
    def is_replayable(self) -> bool:
        """True when its record is held, in the raw extract or in the letter, and a table can hold its id."""
        return self.is_open and self.stage != "read" and self.reason_code != "unstorable_id"


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many letters of a stream are open: those a replay can try, and those only the vendor can settle.

    `letters` are their ids when some were named.
    """

    tenant_id: str
    connector_id: str
    connector: str
    stream: str
    replayable: int
    unheld: int
    letters: Sequence[int] = ()


def missing_id(batch_id: int, position: int) -> str:
    """What stands for the id of a record that has none."""
    return f"?{batch_id}:{position}"


def upsert_letters(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    stream: str,
    letters: Iterable[NewLetter],
    *,
    sync_log_id: str | None = None,
    batch_id: int | None = None,
    is_of_raw: bool = False,
) -> int:
    """Store letters in the caller's transaction; a letter known already is counted up and opened again.

    `is_of_raw`: they are about raw rows, so an open letter that keeps a newer record itself stays as it is.
    """
    distinct = list({(letter.external_id, letter.stage): letter for letter in letters}.values())
    if not distinct:
        return 0
    return run(
        handle,
        _UPSERT,
        {
            "tenant_id": tenant_id,
            "connector_id": connector_id,
            "stream": stream,
            "sync_log_id": sync_log_id,
            "batch_id": batch_id,
            "external_ids": [_text(letter.external_id) for letter in distinct],
            "stages": [letter.stage for letter in distinct],
            "reason_codes": [letter.reason_code for letter in distinct],
            "details": [_text(letter.detail) for letter in distinct],
            "attempts": [letter.attempts for letter in distinct],
            "moments": [letter.source_updated_at for letter in distinct],
            "deleted": [letter.is_deleted for letter in distinct],
            "is_of_raw": is_of_raw,
            "payloads": [None if letter.payload is None else storable_json(letter.payload) for letter in distinct],
        },
    )


def resolve(
    handle: Handle,
    tenant_id: str,
    connector_id: str,
    stream: str,
    external_ids: Sequence[str],
    resolution: str = "written",
    kind: Kind = "any",
) -> int:
    """Close the open letters of records that have been written after all; how many there were.

    `kind` leaves letters alone that are about something else: `of_raw` closes those of records that were landed,
    `kept` those that hold their record themselves, `replayable` both. A record that its connector rejected is
    settled by reading it again only.
    """
    return run(
        handle,
        _RESOLVE.format(kind=_KINDS[kind]),
        {
            "tenant_id": tenant_id,
            "connector_id": connector_id,
            "stream": stream,
            "external_ids": list(external_ids),
            "resolution": resolution,
        },
    )


def has_open(handle: Handle, tenant_id: str, connector_id: str, stream: str) -> bool:
    """Whether a stream has open letters at all: a batch asks once instead of resolving for nothing."""
    found = row(
        handle,
        "SELECT EXISTS (SELECT FROM dead_letters WHERE tenant_id = %(tenant_id)s AND connector_id = %(connector_id)s"
        " AND stream = %(stream)s AND replayed_at IS NULL) AS has_open",
        {"tenant_id": tenant_id, "connector_id": connector_id, "stream": stream},
    )
    return bool(found and found["has_open"])


def list_letters(
    database: Database,
    tenant_id: str | None = None,
    connector_id: str | None = None,
    *,
    only_open: bool = True,
    limit: int = 100,
) -> list[DeadLetter]:
    """The newest letters, without payloads; over all tenants without their ids and details either."""
    condition = "(%(connector_id)s::text IS NULL OR d.connector_id = %(connector_id)s)" + (
        " AND d.replayed_at IS NULL" if only_open else ""
    )
    newest = " ORDER BY d.last_seen_at DESC, d.id DESC LIMIT %(limit)s"
    values = {"tenant_id": tenant_id, "connector_id": connector_id, "limit": limit}
    if tenant_id is None:
        with database.fleet() as connection:
            found = rows(connection, f"SELECT {_OPERATIONAL} {_FROM} WHERE {condition}{newest}", values)
    else:
        statement = f"SELECT {_OPERATIONAL}, d.external_id, d.detail {_FROM} WHERE d.tenant_id = %(tenant_id)s AND "
        with database.tenant(tenant_id) as connection:
            found = rows(connection, statement + condition + newest, values)
    return [DeadLetter(**values) for values in found]


def require_letter(database: Database, tenant_id: str, letter_id: int) -> DeadLetter:
    """One letter with everything. Raises Misuse `unknown_dead_letter`."""
    with database.tenant(tenant_id) as connection:
        found = row(
            connection,
            f"SELECT {_OPERATIONAL}, d.external_id, d.detail, d.payload {_FROM}"
            " WHERE d.tenant_id = %(tenant_id)s AND d.id = %(id)s",
            {"tenant_id": tenant_id, "id": letter_id},
        )
    if found is None:
        raise Misuse(
            "unknown_dead_letter",
            f"Tenant {tenant_id} has no dead letter {letter_id}.",
            next_step=f"List them with `gtmc dead-letters list --tenant {tenant_id}`.",
        )
    return DeadLetter(**found)


def backlog(
    database: Database,
    tenant_id: str | None = None,
    connector: str | None = None,
    stream: str | None = None,
    letters: Sequence[int] = (),
) -> list[Backlog]:
    """Open letters by tenant, connector and stream, of all tenants unless one is named.

    `connector` is a type or an id; `letters` narrows it to these ids.
    """
    values = {"tenant": tenant_id, "connector": connector, "stream": stream, "letters": list(letters)}
    with database.fleet() if tenant_id is None else database.tenant(tenant_id) as connection:
        return [Backlog(**values) for values in rows(connection, _BACKLOG, values)]


def reasons_of_sync(database: Database, tenant_id: str, sync_log_id: str) -> list[dict[str, Any]]:
    """Why letters are open that a sync left or tried again: stream, reason_code, detail and number of letters."""
    with database.tenant(tenant_id) as connection:
        return rows(connection, _OF_SYNC, {"tenant": tenant_id, "sync_log": sync_log_id})


def storable_json(payload: bytes) -> str:
    """`payload` as text that a jsonb column takes: itself when it can be, else `{"base64": …}` of its bytes.

    jsonb refuses what some vendors send: NUL characters, half surrogate pairs, bytes that are no UTF-8.
    """
    with suppress(ValueError, RecursionError):  # what is no JSON is kept as bytes
        text = payload.decode()
        written = json.dumps(json.loads(text, parse_constant=_refuse_constant), ensure_ascii=False)
        written.encode()  # refuses half surrogate pairs
        if "\\u0000" not in written:
            return text
    return in_base64(payload)


def in_base64(payload: bytes) -> str:
    """`payload` as a JSON object that every jsonb column takes."""
    return json.dumps({"base64": base64.b64encode(payload).decode()})


def is_in_base64(payload: bytes) -> bool:
    """Whether a payload is what `in_base64` makes."""
    return payload.startswith(b'{"base64": "') and payload.count(b'"') == 4


def kept_bytes(stored: str) -> bytes:
    """The record behind a stored payload (jsonb as text): its own bytes where they had been kept as base64."""
    payload = stored.encode()
    return base64.b64decode(json.loads(payload)["base64"]) if is_in_base64(payload) else payload


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _text(value: str) -> str:
    """`value` as a text column can hold it."""
    return value.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
