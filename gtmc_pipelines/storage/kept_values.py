"""Values of hidden fields: what the raw extract holds of them goes into the record the vendor now sends without.

Before hashing, landing and mapping, so that raw row and canonical column keep them, and so does what is made
of the raw rows later. Runs only for streams that have a hidden field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec
from psycopg import sql

from gtmc_pipelines.model.catalog import Stream
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import is_storable_id
from gtmc_pipelines.storage.statements import rows

_Members = dict[str, msgspec.Raw]
_MEMBERS = msgspec.json.Decoder(_Members)
_VALUES = msgspec.json.Decoder(list[msgspec.Raw])
_NULL = b"null"


def with_kept_values(
    database: Database, tenant_id: str, stream: Stream, records: Sequence[SourceRecord], paths: Sequence[str]
) -> list[SourceRecord]:
    """The records, with the stored value of each of `paths` (dotted) they have no value of.

    A record that isn't stored, or is newer as stored, stays as it is: the write path decides about those.
    """
    ids = [record.external_id for record in records if is_storable_id(record.external_id)]
    kept = _stored(database, tenant_id, stream, ids, paths)
    return [_filled(record, kept[record.external_id]) if record.external_id in kept else record for record in records]


def differing_ids(
    database: Database, tenant_id: str, stream: Stream, records: Sequence[SourceRecord], names: Sequence[str]
) -> list[str]:
    """Ids of those records that are stored, live, with another value of one of `names` (top-level fields)."""
    statement = sql.SQL(_DIFFERING).format(table=sql.Identifier(*stream.raw_table.split(".")))
    values = {
        "tenant": tenant_id,
        "ids": [record.external_id for record in records],
        "payloads": [record.payload.decode() for record in records],
        "names": list(names),
    }
    with database.tenant(tenant_id) as handle:
        return [each["external_id"] for each in rows(handle, statement, values)]


def _stored(
    database: Database, tenant_id: str, stream: Stream, ids: list[str], paths: Sequence[str]
) -> dict[str, dict[str, msgspec.Raw]]:
    """Stored values by id and path, nulls left out; jsonb keeps every digit of a number."""
    if not ids:
        return {}
    statement = sql.SQL(_STORED).format(table=sql.Identifier(*stream.raw_table.split(".")))
    with database.tenant(tenant_id) as handle:
        found = rows(handle, statement, {"tenant": tenant_id, "ids": ids, "paths": list(paths)})
    kept: dict[str, dict[str, msgspec.Raw]] = {}
    for each in found:
        values = zip(paths, _VALUES.decode(each["values"]), strict=True)
        known = {path: value for path, value in values if bytes(value) != _NULL}
        if known:
            kept[each["external_id"]] = known
    return kept


def _filled(record: SourceRecord, kept: Mapping[str, msgspec.Raw]) -> SourceRecord:
    try:
        members = _MEMBERS.decode(record.payload)
    except msgspec.MsgspecError:  # no object, or none the strict parser reads: it is judged where it is mapped
        return record
    for path, value in kept.items():
        with suppress(msgspec.MsgspecError):  # on the way is a list or a text
            members = _with(members, path.split("."), value)
    return replace(record, payload=msgspec.json.encode(members))


def _with(members: _Members, path: Sequence[str], value: msgspec.Raw) -> _Members:
    """The object with `value` at the path, unless something is there."""
    head, *rest = path
    there = members.get(head)
    is_empty = there is None or bytes(there) == _NULL
    if not rest:
        return {**members, head: value} if is_empty else members
    inner = {} if is_empty else _MEMBERS.decode(members[head])
    return {**members, head: msgspec.Raw(msgspec.json.encode(_with(inner, rest, value)))}


_STORED = """
SELECT external_id, (SELECT jsonb_agg(payload #> string_to_array(asked.path, '.') ORDER BY asked.place)
                       FROM unnest(%(paths)s::text[]) WITH ORDINALITY AS asked (path, place))::text AS values
  FROM {table} WHERE tenant_id = %(tenant)s AND external_id = ANY (%(ids)s)
"""

# Two jsonb numbers are the same however they are spelled: a Bulk result may spell one as REST doesn't.
_DIFFERING = """
SELECT stored.external_id
  FROM unnest(%(ids)s::text[], %(payloads)s::jsonb[]) AS seen (external_id, payload)
  JOIN {table} AS stored ON stored.tenant_id = %(tenant)s AND stored.external_id = seen.external_id
 WHERE NOT stored.deleted AND EXISTS (
       SELECT FROM unnest(%(names)s::text[]) AS asked (name)
        WHERE coalesce(stored.payload -> asked.name, 'null') <> coalesce(seen.payload -> asked.name, 'null'))
"""
