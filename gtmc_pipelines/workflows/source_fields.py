"""Source fields of an entity, asked of the vendor at this moment, for whoever writes a mapping."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from gtmc_pipelines.connectors.contract import DescribesFields
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.entry import MappingEntry
from gtmc_pipelines.mapping.reads import reads_of, tops_of
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.model.records import SourceField
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage import stream_fields
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.workflows.composition import bound_to, compose_agreed, key_ring


def source_fields(
    settings: Settings, database: Database, row: ConnectorRow, entity: Entity, *, actor: str
) -> list[SourceField]:
    """Fields the vendor offers for an entity, custom ones included; the audit log names `actor` for a renewed token.

    Raises Misuse `not_connected`, Reauthorize when the credentials are refused or Office 365 lacks its
    agreement, and the vendor's own trouble otherwise.
    """
    _require_connected(row)
    composed = compose_agreed(settings, database, row)
    credentials = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id, actor=actor)
    connector = connector_of(row.type)
    session = connector.authenticate(*bound_to(settings, row, composed, credentials))
    try:
        return connector.describe_fields(session, entity)
    finally:
        session.close()


@dataclass(frozen=True, slots=True)
class FieldCheck:
    """Whether every field a mapping names is one that syncs read: a sentence for each that isn't.

    `note` says what the answer rests on when the vendor couldn't be asked.
    """

    problems: Sequence[str] = ()
    note: str = ""


def unread_fields(
    settings: Settings,
    database: Database,
    row: ConnectorRow,
    entity: Entity,
    entries: Sequence[MappingEntry],
    *,
    actor: str,
) -> FieldCheck:
    """Look for fields no sync reads, where the vendor describes its fields; others can't be told from empty ones.

    Asks the vendor; where that fails, what the last sync read is looked at. Fields of the default mapping and hidden
    ones are fine: an org may lack the former, and the latter may come back.
    """
    connector = connector_of(row.type)
    if not isinstance(connector, DescribesFields):
        return FieldCheck()
    streams = [stream.name for stream in connector.streams if entity in stream.entities]
    with database.tenant(row.tenant_id) as handle:
        known = {name: stream_fields.load(handle, row.tenant_id, row.id, name) for name in streams}
    shown, note = {name: set(each.offered) for name, each in known.items()}, ""
    try:
        shown = _shown(settings, database, row, entity, actor)
    except GtmcError as error:
        is_known = all(shown.values())
        rest = "they were compared with those of the last sync." if is_known else "they were not checked."
        note = f"The source fields could not be asked for, so {rest} {error.sentence}"
        if not is_known:
            return FieldCheck(note=note)
    for name in streams:
        shown[name] |= known[name].hidden.keys() | tops_of(connector.default_mappings()[entity], name)
    problems = [
        problem
        for position, entry in enumerate(entries, 1)
        for problem in _unread(position, entry, [shown[name] for name in streams if entry.stream in (None, name)])
    ]
    return FieldCheck(problems, note)


def _shown(
    settings: Settings, database: Database, row: ConnectorRow, entity: Entity, actor: str
) -> dict[str, set[str]]:
    """Fields each stream of the entity has now, asked of the vendor."""
    _require_connected(row)
    connector = connector_of(row.type)
    assert isinstance(connector, DescribesFields)
    credentials = StoredCredentials(database, key_ring(settings), row.tenant_id, row.id, actor=actor)
    composed = compose_agreed(settings, database, row)
    session = connector_of(row.type).authenticate(*bound_to(settings, row, composed, credentials))
    try:
        streams = [stream for stream in connector_of(row.type).streams if entity in stream.entities]
        return {stream.name: set(connector.shown_fields(session, stream)) for stream in streams}
    finally:
        session.close()


def _unread(position: int, entry: MappingEntry, shown: Sequence[set[str]]) -> list[str]:
    """A sentence for each field of the entry that none of its streams has, with near names."""
    names = set().union(*shown)
    found = []
    for path in sorted(reads_of(entry)):
        if path.partition(".")[0] in names:
            continue
        near = difflib.get_close_matches(path, sorted(names), n=3, cutoff=0.6)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        found.append(f"entry {position}, {entry.target_field}: no sync reads {path[:80]!r}.{hint}")
    return found


def _require_connected(row: ConnectorRow) -> None:
    if row.status is ConnectorStatus.DISCONNECTED:
        raise Misuse(
            "not_connected",
            f"The {row.type.label} connector of {row.tenant_id} is not connected, so its fields can't be asked for.",
            next_step=f"Connect it: gtmc connectors connect --tenant {row.tenant_id} --connector {row.type}",
        )
