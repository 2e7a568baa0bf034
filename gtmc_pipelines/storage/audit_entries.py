"""The audit log as people read it: the newest rows of a tenant, and where a broken chain breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gtmc_pipelines.storage.statements import Handle, Row, row, rows

_SELECT = """
SELECT id, tenant_id, user_id AS actor, action, resource, resource_id, changes, metadata, created_at, position,
       encode(hash, 'hex') AS hash
  FROM audit_log
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log. `position` grows from row to row, with gaps; `hash` is the head of the chain up to here."""

    id: str
    tenant_id: str
    actor: str
    action: str
    resource: str
    resource_id: str | None
    changes: Mapping[str, Any]
    metadata: Mapping[str, Any]
    created_at: datetime
    position: int
    hash: str


def list_entries(handle: Handle, tenant_id: str, limit: int, *, action: str | None = None) -> list[Entry]:
    """The newest `limit` rows of a tenant, newest first; `action` takes those that begin with it."""
    found = rows(
        handle,
        _SELECT + " WHERE tenant_id = %(tenant_id)s AND starts_with(action, %(action)s)"
        " ORDER BY position DESC LIMIT %(limit)s",
        {"tenant_id": tenant_id, "limit": limit, "action": action or ""},
    )
    return [_entry(values) for values in found]


def get_entry(handle: Handle, tenant_id: str, entry_id: str) -> Entry | None:
    """The row with this id, or None."""
    found = row(
        handle, _SELECT + " WHERE tenant_id = %(tenant_id)s AND id = %(id)s", {"tenant_id": tenant_id, "id": entry_id}
    )
    return None if found is None else _entry(found)


def _entry(values: Row) -> Entry:
    return Entry(**values)
