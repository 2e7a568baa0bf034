"""The state before the tick: a template tenant synced for real, and a fleet that is made of copies of it.

The template's five connectors do a full sync and one without change, by the workflow. A copy has what
these left behind: connectors (secrets sealed for each tenant apart), leases, cursors, the agreement, and
a history of syncs that ends `last_synced_ago`; tenants that are synced later have the raw and canonical
rows as well. Rows are copied by SQL as superuser, ids derived as the write path derives them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from gtmc_pipelines.model.catalog import STREAMS, canonical_tables
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import ENTITIES
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.storage.connector_states import disconnect, set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.data_tables import LINKED_TO_ACCOUNTS
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.keyring import SealContext
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.bench.fleet_stage import FleetStage
from gtmc_pipelines_tests.bench.fleet_vendors import access_to, consent

TEMPLATE = "template"
HISTORY = 30
"""Syncs in a copy's history, one every four hours, the first of them full: five days."""

_OTHER_ID = "md5({0} || c.tenant_id)::uuid::text"
_FROM_CONNECTOR = """
FROM {table} o JOIN connectors t ON t.tenant_id = o.tenant_id AND t.id = o.connector_id AND t.tenant_id = 'template'
     JOIN connectors c ON c.type = t.type AND c.tenant_id = ANY (%(tenants)s)
"""
_FROM_TENANT = "FROM {table} o CROSS JOIN unnest(%(tenants)s::text[]) AS c (tenant_id) WHERE o.tenant_id = 'template'"
_LOGS = (
    _FROM_CONNECTOR
    + """
CROSS JOIN LATERAL (SELECT n, c.last_sync_at - n * interval '4 hours' AS ended
                      FROM generate_series(0, %(last)s) AS n) AS h
WHERE (o.sync_type = 'full') = (h.n = %(last)s)
"""
)
"""The template has two logs: the full one becomes the oldest of a copy, the other all the rest."""


@contextmanager
def made_template(stage: FleetStage) -> Iterator[None]:
    """A tenant with five connectors, synced twice by the workflow; disconnected on exit, so that it is no partition.

    Raises AssertionError when a sync doesn't complete, the first reads nothing, or the second finds a change.
    """
    database = open_database(stage.owner_url)
    try:
        add_tenant(database, TEMPLATE)
        consent(database, TEMPLATE, stage.vendors)
        ids = {kind: _connect(stage, database, kind) for kind in ConnectorType}
        _sync(stage, ids)
        yield
        for connector_id in ids.values():
            disconnect(database, TEMPLATE, connector_id)
    finally:
        database.close()


def _sync(stage: FleetStage, ids: Mapping[ConnectorType, str]) -> None:
    with SyncClient.open(stage.settings) as client:
        for mode in (SyncMode.FULL, SyncMode.INCREMENTAL):
            at = datetime.now(UTC)
            handles = {
                kind: client.start(SyncRequest(TEMPLATE, id_, kind, mode, trigger=Trigger.SCHEDULE), at)
                for kind, id_ in ids.items()
            }
            for kind, handle in handles.items():
                outcome = client.outcome(handle)
                assert outcome.is_success, (kind, outcome.error_code, outcome.error, outcome.failed_streams)
                totals = outcome.totals
                assert totals.created if mode is SyncMode.FULL else not _changes(totals), (kind, mode, totals)


def _changes(totals: Counts) -> int:
    return totals.read - totals.unchanged - totals.skipped


def clone(stage: FleetStage, names: Sequence[str], synced: int, *, due_ago: timedelta, fresh_ago: timedelta) -> None:
    """Make tenants of these names; the first `synced` are due with all their rows, the others were synced lately."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {"tenants": list(names), "last": HISTORY - 1}
    with psycopg.connect(stage.libpq_url) as connection:
        connection.execute(
            "INSERT INTO tenants (id, name, slug) SELECT t, t, t FROM unnest(%(tenants)s::text[]) AS t", values
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO connectors (tenant_id, id, type, name, config, status, last_sync_at)"
                " VALUES (%s, %s, %s, %s, %s, 'connected', %s)",
                [
                    (*row, now - (due_ago if number < synced else fresh_ago))
                    for number, name in enumerate(names)
                    for row in _connectors(stage, name)
                ],
            )
        for table in ("connector_leases", "stream_cursors"):
            _copy(connection, table, {"connector_id": "c.id"}, _FROM_CONNECTOR, values)
        _copy(connection, "o365_config", {"dpa_accepted_at": "now() - interval '9 days'"}, _FROM_TENANT, values)
        _copy(connection, "sync_logs", _LOG, _LOGS, values)
        rows = values | {"tenants": list(names[:synced])}
        for kind in ConnectorType:
            for stream in STREAMS[kind]:
                _copy(connection, stream.raw_table, {}, _FROM_TENANT, rows)
        for table in dict.fromkeys(table for kind in ConnectorType for table in canonical_tables(kind)):
            _copy(connection, table, _canonical(table), _FROM_TENANT, rows)
    with psycopg.connect(stage.libpq_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


_LOG = {
    "id": "CASE WHEN h.n IN (0, %(last)s) THEN {} ELSE gen_random_uuid()::text END".format(_OTHER_ID.format("o.id")),
    "connector_id": "c.id",
    "started_at": "h.ended - (o.completed_at - o.started_at)",
    "completed_at": "h.ended",
    "workflow_id": "'sync-' || c.tenant_id || '-' || c.id || '-' || h.n",
    "workflow_run_id": "gen_random_uuid()::text",
}


def _canonical(table: str) -> dict[str, str]:
    """Ids as the write path derives them from tenant, source and external id."""
    derived = "md5(c.tenant_id || ':' || o.source || ':' || {})::uuid::text"
    found = {"id": derived.format("o.external_id")}
    if table in {ENTITIES[entity].table for entity in LINKED_TO_ACCOUNTS}:
        found["account_id"] = derived.format("o.account_external_id")
    return found


def _connect(stage: FleetStage, database: Database, kind: ConnectorType) -> str:
    access = access_to(stage.vendors, kind)
    row = add_connector(database, TEMPLATE, kind, options=access.options)
    secrets = {name: Secret(value) for name, value in access.secrets.items()}
    StoredCredentials(database, key_ring(stage.settings), TEMPLATE, row.id).save(secrets)
    with database.tenant(TEMPLATE) as handle:
        set_status(handle, TEMPLATE, row.id, ConnectorStatus.CONNECTED)
    return row.id


def _connectors(stage: FleetStage, tenant: str) -> Iterator[tuple[str, str, str, str, Jsonb]]:
    """Rows of a tenant's five connectors, each with the organization's credentials under seals of its own."""
    keys = key_ring(stage.settings)
    for kind in ConnectorType:
        access, connector_id = access_to(stage.vendors, kind), str(uuid.uuid4())
        sealed = {n: keys.seal(v, SealContext(tenant, connector_id, n)) for n, v in access.secrets.items()}
        config = Jsonb({"options": dict(access.options), "secrets": sealed})
        yield tenant, connector_id, kind.value, kind.label, config


def _copy(
    connection: psycopg.Connection[Any], table: str, values: Mapping[str, str], source: str, parameters: Any
) -> None:
    """Copy the template's rows of a table to others; `values` are expressions for columns that differ."""
    names = [
        name
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
            (table,),
        )
    ]
    values = {"tenant_id": "c.tenant_id", "sync_log_id": _OTHER_ID.format("o.sync_log_id"), **values}
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    expressions = sql.SQL(", ").join(
        sql.SQL(values[name]) if name in values else sql.Identifier("o", name) for name in names
    )
    into = sql.Identifier(*table.split("."))
    rest = sql.SQL(source).format(table=into)
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} {}").format(into, columns, expressions, rest)
    connection.execute(statement, parameters)
