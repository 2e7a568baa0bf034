"""Comparisons of what is stored with what a vendor says it has: one a stream and day, kept until the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.records import Census
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, Row, row, rows, run

EVERY = timedelta(hours=24)
"""How often a stream is compared at most."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stream of one tenant. `lost` the vendor has and we don't show as live, `extra` the other way round.

    `not_visible` is how many records are marked so: hidden from the connected user, or gone for good.
    `problem` is the code of the fault that prevented it; then there are no numbers.
    """

    tenant_id: str
    stream: str
    compared_at: datetime
    scope: str
    vendor: int | None = None
    ours: int | None = None
    lost: int | None = None
    extra: int | None = None
    not_visible: int | None = None
    problem: str | None = None


def compared_lately(handle: Handle, tenant_id: str, connector_id: str) -> frozenset[str]:
    """Streams that need no comparison yet."""
    found = rows(handle, _LATELY, {"tenant": tenant_id, "connector": connector_id, "every": EVERY})
    return frozenset(each["stream"] for each in found)


def compare(database: Database, tenant_id: str, stream: Stream, answers: Iterable[Census]) -> Comparison | None:
    """Hold a vendor's answers against the live rows of the raw extract; None when there is no answer.

    By ids both ways where there are ids, else by the difference of the numbers.
    """
    answered = None
    vendor = live = still = 0
    for answer in answers:
        answered = answer
        vendor += answer.count if answer.ids is None else len(answer.ids)
        if answer.ids is not None:
            names = answer.ids if answer.names is None else answer.names
            values = _scope(tenant_id, answer) | {"ids": list(answer.ids), "names": list(names)}
            with database.tenant(tenant_id) as handle:
                found = _counted(handle, stream, _PRESENT, values)
            live, still = live + found["live"], still + found["still"]
    if answered is None:
        return None
    if answered.is_log:
        ours, lost, extra = live, vendor - live, 0
    else:
        with database.tenant(tenant_id) as handle:
            ours = _counted(handle, stream, _OURS, _scope(tenant_id, answered))["number"]
        has_ids = answered.ids is not None
        lost, extra = (vendor - live, ours - still) if has_ids else (max(0, vendor - ours), max(0, ours - vendor))
    return Comparison(tenant_id, stream.name, datetime.min, answered.scope, vendor, ours, lost, extra)


def keep(database: Database, connector_id: str, found: Comparison, at: datetime) -> None:
    """Store a comparison made `at` this time in place of the one before."""
    values = {
        "tenant": found.tenant_id,
        "connector": connector_id,
        "stream": found.stream,
        "at": at,
        "scope": found.scope,
        "vendor": found.vendor,
        "ours": found.ours,
        "lost": found.lost,
        "extra": found.extra,
        "not_visible": found.not_visible,
        "problem": found.problem,
    }
    with database.tenant(found.tenant_id) as handle:
        run(handle, _KEEP, values)


def latest(database: Database, type: ConnectorType) -> list[Comparison]:
    """The newest comparison of each stream of every connected connector of a type."""
    with database.fleet() as connection:
        return [Comparison(**found) for found in rows(connection, _ALL, {"type": type.value})]


def not_visible(database: Database, tenant_id: str, stream: Stream) -> int | None:
    """How many records of a stream are marked as `not_visible`; None where absence is never that."""
    if not stream.may_hide:
        return None
    with database.tenant(tenant_id) as handle:
        return int(_counted(handle, stream, _NOT_VISIBLE, {"tenant": tenant_id})["number"])


def _counted(handle: Handle, stream: Stream, statement: LiteralString, values: dict[str, object]) -> Row:
    table = sql.Identifier(*stream.raw_table.split("."))
    found = row(handle, sql.SQL(statement).format(raw=table, scope=sql.SQL(_SCOPE)), values)
    assert found is not None
    return found


def _scope(tenant_id: str, of: Census) -> dict[str, object]:
    return {
        "tenant": tenant_id,
        "slice": of.slice,
        "since": of.since,
        "until": of.until,
        "member": of.time_member,
        "since_text": None if of.since is None else f"{of.since:%Y-%m-%dT%H:%M:%S}",
        "until_text": None if of.until is None else f"{of.until:%Y-%m-%dT%H:%M:%S}",
    }


_LATELY = """
SELECT stream FROM vendor_comparisons
WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND compared_at > now() - %(every)s
"""

_SCOPE = """(%(slice)s = '' OR slice = %(slice)s)
  AND (%(since)s::timestamptz IS NULL OR CASE WHEN %(member)s = '' THEN source_updated_at >= %(since)s
       ELSE payload ->> %(member)s >= %(since_text)s END)
  AND (%(until)s::timestamptz IS NULL OR CASE WHEN %(member)s = '' THEN source_updated_at < %(until)s
       ELSE payload ->> %(member)s < %(until_text)s END)"""

_PRESENT = """
SELECT count(*) FILTER (WHERE external_id = ANY(%(ids)s)) AS live,
       count(*) FILTER (WHERE external_id = ANY(%(names)s) AND {scope}) AS still
  FROM {raw}
 WHERE tenant_id = %(tenant)s AND external_id = ANY(%(ids)s::text[] || %(names)s::text[]) AND NOT deleted
"""

_OURS = "SELECT count(*) AS number FROM {raw} WHERE tenant_id = %(tenant)s AND NOT deleted AND {scope}"

_NOT_VISIBLE = """
SELECT count(*) AS number FROM {raw}
WHERE tenant_id = %(tenant)s AND deleted AND deleted_reason = 'not_visible'
"""

_KEEP = """
INSERT INTO vendor_comparisons (tenant_id, connector_id, stream, compared_at, scope, vendor, ours, lost, extra,
                                not_visible, problem)
VALUES (%(tenant)s, %(connector)s, %(stream)s, %(at)s, %(scope)s, %(vendor)s, %(ours)s, %(lost)s, %(extra)s,
        %(not_visible)s, %(problem)s)
ON CONFLICT (tenant_id, connector_id, stream) DO UPDATE
   SET compared_at = excluded.compared_at, scope = excluded.scope, vendor = excluded.vendor, ours = excluded.ours,
       lost = excluded.lost, extra = excluded.extra, not_visible = excluded.not_visible,
       problem = excluded.problem
"""

_ALL = """
SELECT v.tenant_id, v.stream, v.compared_at, v.scope, v.vendor, v.ours, v.lost, v.extra, v.not_visible, v.problem
  FROM vendor_comparisons v JOIN connectors c ON c.tenant_id = v.tenant_id AND c.id = v.connector_id
 WHERE c.type = %(type)s AND c.status <> 'disconnected' ORDER BY v.tenant_id, v.stream
"""
