"""Catalog of streams: what each connector reads and which canonical tables that feeds (design section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, Entity

REQUEST_SECONDS = 120.0
"""How long one request may take, from before the connect to the last byte."""

REQUEST_SECONDS_OF = {ConnectorType.SALESFORCE: 180.0}
"""Vendors whose contract needs more: Salesforce ends a query with QUERY_TIMEOUT after 120 seconds of its own."""


class CursorKind(StrEnum):
    """How a stream finds what changed since the last sync."""

    WINDOW = "window"  # the vendor filters by change time
    TOKEN = "token"  # noqa: S105 - no password: the vendor keeps state behind an opaque token
    LOOKBACK = "lookback"  # no change filter: newest first, with a window read again
    COMPARE = "compare"  # everything is read; unchanged records stop at the hash


class DeleteDetection(StrEnum):
    """How a stream learns of deletions."""

    FEED = "feed"  # the vendor reports them; absence after a complete full sync tells the rest
    SWEEP = "sweep"  # absence after a complete full sync
    NONE = "none"  # an event log: nothing is ever deleted


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of record a connector reads.

    `entities` lists what a record becomes; the first is the primary one, by which the record is
    counted as created, updated or unchanged. A sliced stream keeps one cursor per slice
    (a mailbox, for Office 365). `may_hide`: what a full read doesn't see may also be hidden from the
    connected user (sharing, permissions), and the vendor doesn't tell which.
    """

    connector: ConnectorType
    name: str
    entities: tuple[Entity, ...]
    cursor_kind: CursorKind
    deletes: DeleteDetection
    description: str
    is_sliced: bool = False
    prefixes: tuple[tuple[Entity, str], ...] = ()
    may_hide: bool = False

    def prefix_of(self, entity: Entity) -> str:
        """What precedes a record's id in the external id of its row of this entity; mostly nothing."""
        return dict(self.prefixes).get(entity, "")

    @property
    def raw_table(self) -> str:
        """Schema-qualified name of the raw extract."""
        return f"raw.{self.connector}_{self.name}"

    @property
    def tables(self) -> tuple[str, ...]:
        """Canonical tables this stream feeds."""
        return tuple(ENTITIES[entity].table for entity in self.entities)


def _streams(
    connector: ConnectorType,
    *rows: tuple[str, tuple[Entity, ...], CursorKind, DeleteDetection, str],
    is_sliced: bool = False,
    prefixes: tuple[tuple[Entity, str], ...] = (),
    may_hide: bool = False,
) -> tuple[Stream, ...]:
    return tuple(
        Stream(connector, name, entities, cursor, deletes, text, is_sliced, prefixes, may_hide)
        for name, entities, cursor, deletes, text in rows
    )


CALCULATED_AS_OF = ".calculated"
"""Follows a stream's name in a connector's `last_sync_cursor`: as of when its calculated fields are."""

_E, _C, _D = Entity, CursorKind, DeleteDetection

STREAMS: dict[ConnectorType, tuple[Stream, ...]] = {
    ConnectorType.SALESFORCE: _streams(
        ConnectorType.SALESFORCE,
        ("accounts", (_E.ACCOUNT,), _C.WINDOW, _D.FEED, "Accounts of the org"),
        ("contacts", (_E.PERSON,), _C.WINDOW, _D.FEED, "Contacts of the org"),
        ("leads", (_E.PERSON,), _C.WINDOW, _D.FEED, "Leads, converted ones included"),
        ("opportunities", (_E.OPPORTUNITY,), _C.WINDOW, _D.FEED, "Opportunities of the org"),
        ("tasks", (_E.ACTIVITY,), _C.WINDOW, _D.FEED, "Tasks: calls, e-mails, to-dos"),
        ("events", (_E.ACTIVITY,), _C.WINDOW, _D.FEED, "Calendar events"),
        may_hide=True,
    ),
    ConnectorType.CUSTOMERIO: _streams(
        ConnectorType.CUSTOMERIO,
        ("people", (_E.PERSON,), _C.COMPARE, _D.SWEEP, "People with their attributes"),
        ("email_events", (_E.ACTIVITY,), _C.LOOKBACK, _D.NONE, "Deliveries with their metrics, never bodies"),
        ("behavioral_events", (_E.ACTIVITY,), _C.LOOKBACK, _D.NONE, "Activities of the last 30 days"),
    ),
    ConnectorType.DELIVRAI: _streams(
        ConnectorType.DELIVRAI,
        ("intent_signals", (_E.INTENT_SIGNAL, _E.ACTIVITY), _C.WINDOW, _D.NONE, "Pages read by buyers"),
        ("company_enrichment", (_E.ACCOUNT,), _C.COMPARE, _D.SWEEP, "Company facts by domain"),
    ),
    ConnectorType.O365: _streams(
        ConnectorType.O365,
        ("email_metadata", (_E.ACTIVITY,), _C.TOKEN, _D.FEED, "Sender, recipients, times: never subject or body"),
        is_sliced=True,
    ),
    ConnectorType.FATHOM: _streams(
        ConnectorType.FATHOM,
        ("meetings", (_E.MEETING, _E.ACTIVITY), _C.LOOKBACK, _D.SWEEP, "Meetings with transcript and summary"),
        prefixes=((_E.ACTIVITY, "fathom_"),),  # documented: reference/domain.md, section 4.5
    ),
}


def stream_of(connector: ConnectorType, name: str) -> Stream | None:
    """The stream with this name, or None."""
    return next((stream for stream in STREAMS[connector] if stream.name == name), None)


def canonical_tables(connector: ConnectorType) -> tuple[str, ...]:
    """Canonical tables a connector feeds, in the catalog's order, each once."""
    return tuple(dict.fromkeys(table for stream in STREAMS[connector] for table in stream.tables))
