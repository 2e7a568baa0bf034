"""What schedules and sensors ask about all tenants at once; operational columns only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import Row, rows

# Connected, or failed in a way that trying again may mend; Office 365 only with its agreement in force.
_ELIGIBLE = """
(c.status = 'connected' OR (c.status = 'error' AND c.error_kind IS DISTINCT FROM 'reauthorize'))
AND (c.type <> 'o365' OR EXISTS (SELECT FROM o365_config o
                                  WHERE o.tenant_id = c.tenant_id AND o.dpa_accepted_at IS NOT NULL))
"""
_DUE = f"""
SELECT c.tenant_id, c.id AS connector_id, c.type, c.status, c.schedule_cron, c.schedule_timezone, c.last_sync_at,
       last.started_at AS last_started_at, last.deferred_until, coalesce(last.streams, 0) AS last_streams
  FROM connectors c
  LEFT JOIN LATERAL (
       SELECT l.started_at, l.deferred_until, (SELECT count(*) FROM jsonb_object_keys(l.stream_counts)) AS streams
         FROM sync_logs l
        WHERE l.tenant_id = c.tenant_id AND l.connector_id = c.id
          AND coalesce(l.trigger, '') NOT IN ('renormalize', 'replay')
        ORDER BY l.started_at DESC LIMIT 1) last ON true
 WHERE (%(type)s::text IS NULL OR c.type = %(type)s) AND {_ELIGIBLE}
   AND (last.deferred_until IS NULL OR last.deferred_until <= %(now)s)
 ORDER BY c.last_sync_at NULLS FIRST, c.tenant_id
"""  # noqa: S608 - constants only
# A tenant is a Dagster partition while its connector is authenticated, running or failed.
_CONNECTED = """
SELECT c.type, c.tenant_id FROM connectors c
 WHERE c.type = ANY (%(types)s) AND c.status <> 'disconnected'
   AND (c.type <> 'o365' OR EXISTS (SELECT FROM o365_config o
                                     WHERE o.tenant_id = c.tenant_id AND o.dpa_accepted_at IS NOT NULL))
 ORDER BY c.type, c.tenant_id
"""
_CONSENT = """
SELECT c.tenant_id, c.status, o.dpa_accepted_at AS accepted_at, l.owner_workflow,
       (SELECT max(s.started_at) FROM sync_logs s
         WHERE s.tenant_id = c.tenant_id AND s.connector_id = c.id
           AND coalesce(s.trigger, '') NOT IN ('renormalize', 'replay')) AS last_started_at
  FROM connectors c
  LEFT JOIN o365_config o ON o.tenant_id = c.tenant_id
  LEFT JOIN connector_leases l ON l.tenant_id = c.tenant_id AND l.connector_id = c.id
 WHERE c.type = 'o365' AND c.status <> 'disconnected'
 ORDER BY c.tenant_id
"""
_STUCK = """
SELECT c.tenant_id, c.id AS connector_id, c.type, l.owner_workflow, l.owner_run, c.updated_at AS since
  FROM connectors c
  LEFT JOIN connector_leases l ON l.tenant_id = c.tenant_id AND l.connector_id = c.id
 WHERE c.status = 'syncing' AND c.updated_at < %(before)s
 ORDER BY c.updated_at
"""


@dataclass(frozen=True, slots=True)
class DueConnector:
    """A connector that a schedule may sync now; whether its cron is due is the caller's question."""

    tenant_id: str
    connector_id: str
    type: ConnectorType
    status: ConnectorStatus
    schedule_cron: str | None
    schedule_timezone: str
    last_sync_at: datetime | None
    last_started_at: datetime | None
    deferred_until: datetime | None
    last_streams: int = 0  # how many streams the last sync got to


@dataclass(frozen=True, slots=True)
class ConsentStanding:
    """An Office 365 connector that is connected, and its tenant's agreement (`accepted_at` None: not in force).

    `owner_workflow` is the workflow that holds the connector's lease, if any.
    """

    tenant_id: str
    status: ConnectorStatus
    accepted_at: datetime | None
    owner_workflow: str | None
    last_started_at: datetime | None


@dataclass(frozen=True, slots=True)
class SyncingConnector:
    """A connector that has been on `syncing` since `since`, and the workflow that holds its lease, if any."""

    tenant_id: str
    connector_id: str
    type: ConnectorType
    owner_workflow: str | None
    owner_run: str | None
    since: datetime


def due_connectors(database: Database, type: ConnectorType | None, now: datetime) -> list[DueConnector]:
    """Connectors that may be synced now, longest unsynced first.

    Left out: not authenticated, running, waiting for the user to reconnect, deferred to later than
    `now`, and Office 365 without its agreement.
    """
    with database.fleet() as connection:
        found = rows(connection, _DUE, {"type": None if type is None else type.value, "now": now})
    return [_due(values) for values in found]


def connected_tenants(database: Database, type: ConnectorType) -> list[str]:
    """Tenants whose connector of this type has been authenticated (Office 365: and agreed to), by id."""
    return connected_by_type(database, [type])[type]


def connected_by_type(database: Database, types: Iterable[ConnectorType]) -> dict[ConnectorType, list[str]]:
    """The same for several types by one query; a type without tenants has an empty list."""
    found: dict[ConnectorType, list[str]] = {type: [] for type in types}
    with database.fleet() as connection:
        for values in rows(connection, _CONNECTED, {"types": [type.value for type in found]}):
            found[ConnectorType(values["type"])].append(values["tenant_id"])
    return found


def consent_standings(database: Database) -> list[ConsentStanding]:
    """Every connected Office 365 connector with its tenant's agreement, by tenant."""
    with database.fleet() as connection:
        found = rows(connection, _CONSENT)
    return [ConsentStanding(**values | {"status": ConnectorStatus(values["status"])}) for values in found]


def syncing_since(database: Database, before: datetime) -> list[SyncingConnector]:
    """Connectors on `syncing` whose row hasn't changed since `before`: candidates for being stuck."""
    with database.fleet() as connection:
        found = rows(connection, _STUCK, {"before": before})
    return [SyncingConnector(**values | {"type": ConnectorType(values["type"])}) for values in found]


def _due(values: Row) -> DueConnector:
    return DueConnector(**values | {"type": ConnectorType(values["type"]), "status": ConnectorStatus(values["status"])})
