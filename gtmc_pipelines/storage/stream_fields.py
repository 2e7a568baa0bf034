"""What syncs know of a stream's source fields: which were read, how filled they are, which are hidden and since when.

One row per stream. Names, numbers and moments, and the ids of some records of the last sync that had any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Handle, row, rows, run

SAMPLE_RECORDS = 100


@dataclass(frozen=True, slots=True)
class Hidden:
    """A mapped field the vendor no longer shows. `since` is when a sync last began that still read it.

    `is_back`: it is shown again, but what changed meanwhile has not been read again. `read_again` is the upper
    bound of the read that does so.
    """

    since: datetime
    is_back: bool = False
    read_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamFields:
    """Of one stream. `shares` tells, where the vendor describes nothing, how filled mapped fields were (0 to 1)."""

    offered: frozenset[str] = frozenset()
    shares: Mapping[str, float] = field(default_factory=dict)
    hidden: Mapping[str, Hidden] = field(default_factory=dict)
    sample: Sequence[str] = ()
    seen_at: datetime | None = None

    def without_hidden(self, name: str) -> StreamFields:
        """The same, with this field no longer among the hidden ones."""
        return replace(self, hidden={each: kept for each, kept in self.hidden.items() if each != name})

    def with_hidden(self, name: str, hidden: Hidden) -> StreamFields:
        """The same, with this said of a hidden field."""
        return replace(self, hidden={**self.hidden, name: hidden})


@dataclass(frozen=True, slots=True)
class HiddenFields:
    """Hidden fields of one stream of one tenant, by name, each with the moment since which it is."""

    tenant_id: str
    stream: str
    since: Mapping[str, datetime]


def load(handle: Handle, tenant_id: str, connector_id: str, stream: str) -> StreamFields:
    """What is known of a stream; nothing of one that was never read."""
    found = row(handle, _LOAD, {"tenant": tenant_id, "connector": connector_id, "stream": stream})
    if found is None:
        return StreamFields()
    hidden = {name: _hidden(each) for name, each in found["hidden"].items()}
    return StreamFields(frozenset(found["offered"]), found["shares"], hidden, tuple(found["sample"]), found["seen_at"])


def save(handle: Handle, tenant_id: str, connector_id: str, stream: str, known: StreamFields) -> None:
    """Keep what is known now."""
    values = {
        "tenant": tenant_id,
        "connector": connector_id,
        "stream": stream,
        "offered": json.dumps(sorted(known.offered)),
        "shares": json.dumps(dict(known.shares)),
        "hidden": json.dumps({name: _as_json(each) for name, each in known.hidden.items()}),
        "sample": json.dumps(list(known.sample)),
        "seen_at": known.seen_at,
    }
    run(handle, _SAVE, values)


def clear_fields(handle: Handle, tenant_id: str, connector_id: str) -> None:
    """Forget everything: another account of the vendor has another schema."""
    run(handle, _FORGET, {"tenant": tenant_id, "connector": connector_id})


def forget_samples(handle: Handle, tenant_id: str) -> None:
    """Forget which records were looked at: an id may be an address."""
    run(handle, "UPDATE stream_fields SET sample = '[]' WHERE tenant_id = %(tenant)s", {"tenant": tenant_id})


def hidden_fields(database: Database, connector: ConnectorType) -> list[HiddenFields]:
    """Hidden fields of every connected tenant; fields that are shown again are left out."""
    with database.fleet() as handle:
        found = rows(handle, _HIDDEN, {"type": connector.value})
    parsed = [
        HiddenFields(
            each["tenant_id"],
            each["stream"],
            {name: hidden.since for name, raw in each["hidden"].items() if not (hidden := _hidden(raw)).is_back},
        )
        for each in found
    ]
    return [each for each in parsed if each.since]


def _hidden(value: Mapping[str, str | bool | None]) -> Hidden:
    again = value.get("read_again")
    since = datetime.fromisoformat(str(value["since"]))
    return Hidden(since, bool(value.get("is_back")), datetime.fromisoformat(str(again)) if again else None)


def _as_json(hidden: Hidden) -> dict[str, str | bool | None]:
    again = hidden.read_again.isoformat() if hidden.read_again else None
    return {"since": hidden.since.isoformat(), "is_back": hidden.is_back, "read_again": again}


_LOAD = """
SELECT offered, shares, hidden, sample, seen_at FROM stream_fields
 WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s AND stream = %(stream)s
"""
_SAVE = """
INSERT INTO stream_fields (tenant_id, connector_id, stream, offered, shares, hidden, sample, seen_at)
VALUES (%(tenant)s, %(connector)s, %(stream)s, %(offered)s, %(shares)s, %(hidden)s, %(sample)s, %(seen_at)s)
ON CONFLICT (tenant_id, connector_id, stream) DO UPDATE
   SET offered = excluded.offered, shares = excluded.shares, hidden = excluded.hidden, sample = excluded.sample,
       seen_at = excluded.seen_at, updated_at = now()
"""
_FORGET = "DELETE FROM stream_fields WHERE tenant_id = %(tenant)s AND connector_id = %(connector)s"
_HIDDEN = """
SELECT f.tenant_id, f.stream, f.hidden FROM stream_fields f
  JOIN connectors c ON c.tenant_id = f.tenant_id AND c.id = f.connector_id
 WHERE c.type = %(type)s AND c.status <> 'disconnected' AND f.hidden <> '{}'
 ORDER BY f.tenant_id, f.stream
"""
