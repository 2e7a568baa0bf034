"""What must be on record after the tick: every sync in our books, every asset of every tenant once in Dagster's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from sqlalchemy import make_url

from gtmc_pipelines.defs.recording import streams_of_assets
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines_tests.bench.fleet_stage import FleetStage

_SYNCS = """
SELECT c.type, count(*) AS syncs, count(DISTINCT l.tenant_id) AS tenants,
       count(*) FILTER (WHERE l.status = 'completed' AND l.sync_type = 'incremental') AS completed,
       count(*) FILTER (WHERE l.records_read = l.records_unchanged + l.records_skipped) AS without_change,
       sum(l.records_read)::bigint AS records,
       extract(epoch FROM max(l.completed_at) - min(l.started_at))::float AS seconds
  FROM sync_logs l JOIN connectors c ON c.tenant_id = l.tenant_id AND c.id = l.connector_id
 WHERE l.dagster_run_id = ANY (%s) GROUP BY c.type
"""
_EVENTS = """
SELECT asset_key, count(*) AS events, count(DISTINCT partition) AS tenants FROM event_logs
 WHERE run_id = ANY (%s) AND dagster_event_type = 'ASSET_MATERIALIZATION' GROUP BY asset_key
"""
_CHECKS = "SELECT count(*) FROM asset_check_executions WHERE run_id = ANY (%s)"


class NotOnRecord(Exception):
    """Something that must be recorded is not, or more than once; says what."""


def audited(stage: FleetStage, run_ids: Sequence[str], tenants: int) -> dict[str, Any]:
    """Numbers of what these runs left on record, once all of it is right.

    Raises NotOnRecord when a sync is missing, didn't complete, found a change, or doesn't balance (read is unchanged
    or skipped), and when a tenant's asset doesn't have exactly one materialization.
    """
    with psycopg.connect(stage.libpq_url) as connection:
        syncs = _rows(connection, _SYNCS, run_ids)
    with psycopg.connect(_libpq(stage.environment["DAGSTER_PG_URL"])) as connection:
        events = {row["asset_key"]: row for row in _rows(connection, _EVENTS, run_ids)}
        checks = _rows(connection, _CHECKS, run_ids)[0]["count"]
    for row in syncs:
        if {row["syncs"], row["tenants"], row["completed"], row["without_change"]} != {tenants}:
            raise NotOnRecord(f"Not {tenants} completed syncs without change: {row}")
    assets = [key.to_string() for kind in ConnectorType for key in streams_of_assets(kind)]
    for asset in assets:
        row = events.get(asset, {"events": 0, "tenants": 0})
        if (row["events"], row["tenants"]) != (tenants, tenants):
            raise NotOnRecord(
                f"{asset} has {row['events']} materializations of {row['tenants']} tenants, not {tenants}."
            )
    if len(syncs) != len(ConnectorType) or len(events) != len(assets):
        raise NotOnRecord(f"{len(syncs)} connector types and {len(events)} assets are on record.")
    return {
        "syncs": sum(row["syncs"] for row in syncs),
        "records_read": {row["type"]: row["records"] for row in syncs},
        "materializations": sum(row["events"] for row in events.values()),
        "check_evaluations": checks,
    }


def _rows(connection: psycopg.Connection[Any], statement: str, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    cursor = connection.execute(statement.encode(), (list(run_ids),))
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
