"""Erases one person of one tenant: own records go, records shared with others lose them, a tombstone stays.

In small transactions, and restartable: the tombstone comes first, the rows by which the person's ids
are known come last, and everything in between only finds what is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from psycopg import sql

from gtmc_pipelines.model.catalog import STREAMS, Stream
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.storage import audit, leases, stream_fields, tombstones
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.landing import UNMAPPED
from gtmc_pipelines.storage.person_search import Column, Person, mentions_in, text_columns
from gtmc_pipelines.storage.statements import Handle, rows, run
from gtmc_pipelines.vault.erasure import is_about, mentions, parsed, without, written
from gtmc_pipelines.vault.keyring import KeyRing

BATCH = 500

Progress = Callable[[str, int], None]
"""Told the table and how many rows of it have been erased or masked so far."""

# Rows that are the person's own: no other person is lost with them. A meeting's are shared.
_OWN = {
    Entity.ACTIVITY: ("person_external_id", "person_external_id"),
    Entity.INTENT_SIGNAL: ("person_email", "person_id"),
    Entity.PERSON: ("email", "external_id"),
}
"""The columns with the person's address and with the vendor's id of them."""
_FORGOTTEN = ("dead_letters", "sweep_marks", "failed_values", "planned_records")
_STREAMS = [stream for streams in STREAMS.values() for stream in streams]
_SHARED_SOURCES = sorted({s.connector.value for s in _STREAMS if s.entities[0] is Entity.MEETING})

_OWN_ROWS = """
SELECT id, source, external_id FROM {table}
 WHERE tenant_id = %(tenant)s AND source <> ALL (%(shared)s)
   AND ({is_theirs} OR source || ':' || {id} = ANY (%(keys)s::text[])) LIMIT %(limit)s
"""
_UNLIST = """
DELETE FROM {table} WHERE tenant_id = %(tenant)s AND stream = %(stream)s AND external_id = ANY (%(ids)s)
   AND connector_id IN (SELECT id FROM connectors WHERE tenant_id = %(tenant)s AND type = %(source)s)
"""
_RAW_PAGE = """
SELECT external_id, payload::text AS payload FROM {table}
 WHERE tenant_id = %(tenant)s AND external_id > %(after)s AND {mentions} ORDER BY external_id LIMIT %(limit)s
"""
_PAGE = """
SELECT id, source, row_to_json({table})::text AS document FROM {table}
 WHERE tenant_id = %(tenant)s AND id > %(after)s AND {mentions} ORDER BY id LIMIT %(limit)s
"""


def erase_person(
    database: Database,
    ring: KeyRing,
    tenant_id: str,
    person: Person,
    *,
    actor: str,
    progress: Progress = lambda table, rows: None,
) -> dict[str, int]:
    """Erase a person; rows erased or masked, by table. The audit log keeps these numbers and not the person.

    Raises Misuse `sync_running` while a sync of the tenant runs: it may have read the person before
    the tombstone stood.
    """
    with database.tenant(tenant_id) as handle:
        tombstones.add(handle, ring, tenant_id, person.email, person.ids, actor=actor)
    with database.tenant(tenant_id) as handle:
        leases.refuse_while_syncing(handle, tenant_id, "nothing is erased yet, but nobody brings the person back")
    erasure = _Erasure(database, tenant_id, person, progress)
    counts = erasure.run()
    with database.tenant(tenant_id) as handle:
        audit.record(handle, tenant_id, actor=actor, action="person.erase", resource="person", changes={"rows": counts})
    return counts


class _Erasure:
    def __init__(self, database: Database, tenant_id: str, person: Person, progress: Progress) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._person = person
        self._progress = progress
        self._values = person.parameters(tenant_id) | {"limit": BATCH, "shared": _SHARED_SOURCES}
        self._counts: Counter[str] = Counter()
        with database.tenant(tenant_id) as handle:
            self._columns = text_columns(handle)

    def run(self) -> dict[str, int]:
        for entity in (Entity.INTENT_SIGNAL, Entity.ACTIVITY):
            self._until_done(entity)
        for stream in _STREAMS:
            self._raw(stream)
        with self._database.tenant(self._tenant_id) as handle:
            stream_fields.forget_samples(handle, self._tenant_id)
        for table in _FORGOTTEN:
            self._forget(table)
        for entity in Entity:
            if entity is not Entity.PERSON:
                self._canonical(ENTITIES[entity].table)
        self._until_done(Entity.PERSON)  # by these rows a second attempt knows the ids
        self._canonical(ENTITIES[Entity.PERSON].table)
        return {name: number for name, number in sorted(self._counts.items()) if number}

    def _until_done(self, entity: Entity) -> None:
        """Delete a table's own rows and the raw records they were made of."""
        table = ENTITIES[entity].table
        address, own_id = _OWN[entity]
        (column,) = (each for each in self._columns[table] if each.column == address)
        statement = sql.SQL(_OWN_ROWS).format(
            table=sql.Identifier(table), is_theirs=column.mentions, id=sql.Identifier(own_id)
        )
        while True:
            with self._database.tenant(self._tenant_id) as handle:
                found = rows(handle, statement, self._values)
                if not found:
                    return
                for stream in _STREAMS:
                    source = stream.connector.value
                    ids = [each["external_id"] for each in found if each["source"] == source]
                    if ids and entity in stream.entities:
                        self._delete(handle, stream.raw_table, "external_id", ids)
                        self._unlist(handle, stream, ids)
                self._delete(handle, table, "id", [each["id"] for each in found])
            self._progress(table, self._counts[table])

    def _raw(self, stream: Stream) -> None:
        name, marks = stream.raw_table, self._person.marks(stream.connector.value)
        table = sql.Identifier(*name.split("."))
        page = sql.SQL(_RAW_PAGE).format(table=table, mentions=mentions_in(self._columns[name]))
        update = sql.SQL(
            "UPDATE {} SET payload = %(payload)s::jsonb, content_hash = %(unmapped)s"
            " WHERE tenant_id = %(tenant)s AND external_id = %(id)s"
        ).format(table)
        after: str | None = ""
        while after is not None:
            with self._database.tenant(self._tenant_id) as handle:
                found = rows(handle, page, self._values | {"after": after})
                for record in found:
                    document = parsed(record["payload"])
                    masked = without(document, marks)
                    if self._is_own(stream, record["external_id"], document) or mentions(masked, marks):
                        self._delete(handle, name, "external_id", [record["external_id"]])
                        self._unlist(handle, stream, [record["external_id"]])
                    else:
                        values = {"payload": written(masked), "unmapped": UNMAPPED, "id": record["external_id"]}
                        self._counts[name] += run(handle, update, self._values | values)
            after = found[-1]["external_id"] if len(found) == BATCH else None
            if found:
                self._progress(name, self._counts[name])

    def _is_own(self, stream: Stream, external_id: str, document: Any) -> bool:
        marks = self._person.marks(stream.connector.value)
        if marks.is_in(external_id):
            return True
        is_of_people = stream.entities[0] is Entity.PERSON
        is_known = external_id in self._person.ids.get(stream.connector.value, ())
        return is_of_people and (is_known or is_about(document, marks))

    def _canonical(self, name: str) -> None:
        table, columns = sql.Identifier(name), self._columns[name]
        page = sql.SQL(_PAGE).format(table=table, mentions=mentions_in(columns))
        after: str | None = ""
        while after is not None:
            with self._database.tenant(self._tenant_id) as handle:
                found = rows(handle, page, self._values | {"after": after})
                for each in found:
                    self._mask(handle, name, columns, each["id"], each["source"], parsed(each["document"]))
            after = found[-1]["id"] if len(found) == BATCH else None
            if found:
                self._progress(name, self._counts[name])

    def _mask(
        self, handle: Handle, name: str, columns: list[Column], row_id: str, source: str, document: dict[str, Any]
    ) -> None:
        """Blot the person out of a row; a row whose own key names them goes."""
        marks = self._person.marks(source)
        before = {column.column: document[column.column] for column in columns}
        after = without(before, marks)
        if mentions([before["id"], before["external_id"]], marks):
            self._delete(handle, name, "id", [row_id])
            return
        changed = [column for column in columns if after.get(column.column) != before[column.column]]
        if not changed:
            return
        sets = [
            sql.SQL("{} = {}").format(sql.Identifier(column.column), sql.Placeholder(column.column))
            + sql.SQL(f"::{column.type}")
            for column in changed
        ]
        values = {c.column: written(after.get(c.column)) if c.type == "jsonb" else after.get(c.column) for c in changed}
        statement = sql.SQL("UPDATE {} SET {}, updated_at = now() WHERE tenant_id = {} AND id = {}").format(
            sql.Identifier(name), sql.SQL(", ").join(sets), sql.Literal(self._tenant_id), sql.Literal(row_id)
        )
        self._counts[name] += run(handle, statement, values)

    def _forget(self, name: str) -> None:
        statement = sql.SQL("DELETE FROM {} WHERE tenant_id = %(tenant)s AND {}").format(
            sql.Identifier(name), mentions_in(self._columns[name])
        )
        with self._database.tenant(self._tenant_id) as handle:
            self._counts[name] += run(handle, statement, self._values)

    def _unlist(self, handle: Handle, stream: Stream, ids: list[str]) -> None:
        """Records that are gone have no failed values, and are planned no more."""
        for name in ("failed_values", "planned_records"):
            statement = sql.SQL(_UNLIST).format(table=sql.Identifier(name))
            place = {"source": stream.connector.value, "stream": stream.name, "ids": ids}
            self._counts[name] += run(handle, statement, self._values | place)

    def _delete(self, handle: Handle, name: str, column: str, keys: list[str]) -> None:
        statement = sql.SQL("DELETE FROM {} WHERE tenant_id = %(tenant)s AND {} = ANY (%(deleted)s)").format(
            sql.Identifier(*name.split(".")), sql.Identifier(column)
        )
        self._counts[name] += run(handle, statement, self._values | {"deleted": keys})
