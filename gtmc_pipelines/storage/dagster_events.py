"""Retention of Dagster's own event log: its `event_logs` table grows with every run and is never pruned by Dagster.

Works on a connection to Dagster's database, whatever its driver; knows the table, not Dagster.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

KEPT_TYPES = (
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_CHECK_EVALUATION",
    "ASSET_CHECK_EVALUATION_PLANNED",
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
    "PIPELINE_FAILURE",
    "PIPELINE_CANCELED",
)
"""Types that statuses, plots and checks are made from. Everything else is of use while a run is looked into."""

THINNED_TYPES = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_MATERIALIZATION_PLANNED")

_OPERATIONAL = text("""
DELETE FROM event_logs WHERE id IN (
    SELECT id FROM event_logs WHERE timestamp < :before
       AND (dagster_event_type IS NULL OR dagster_event_type <> ALL (:kept)) ORDER BY id LIMIT :batch)
""")
_SUPERSEDED = text("""
DELETE FROM event_logs WHERE id IN (
    SELECT old.id FROM event_logs old
     WHERE old.timestamp < :before AND old.dagster_event_type = ANY (:thinned)
       AND EXISTS (SELECT FROM event_logs newer
                    WHERE newer.asset_key = old.asset_key AND newer.dagster_event_type = old.dagster_event_type
                      AND newer.partition IS NOT DISTINCT FROM old.partition AND newer.id > old.id)
     ORDER BY old.id LIMIT :batch)
""")


def purge_operational(connection: Connection, before: datetime, batch: int) -> int:
    """Delete up to `batch` log lines and step events of before then; how many there were."""
    values = {"before": before.replace(tzinfo=None), "kept": list(KEPT_TYPES), "batch": batch}
    return int(connection.execute(_OPERATIONAL, values).rowcount)


def purge_superseded(connection: Connection, before: datetime, batch: int) -> int:
    """Delete up to `batch` asset events of before then that a newer one of their partition has replaced."""
    values = {"before": before.replace(tzinfo=None), "thinned": list(THINNED_TYPES), "batch": batch}
    return int(connection.execute(_SUPERSEDED, values).rowcount)
