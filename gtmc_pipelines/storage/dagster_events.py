"""Retention of Dagster's own event log: its `event_logs` table grows with every run and is never pruned by Dagster.

Works on a connection to Dagster's database, whatever its driver; knows the tables, not Dagster. Others may run in the
same Dagster: only what belongs to our jobs and assets is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

KEPT_TYPES = (
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ASSET_MATERIALIZATION_PLANNED",
    "ASSET_CHECK_EVALUATION",
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
    "PIPELINE_FAILURE",
    "PIPELINE_CANCELED",
)
"""Types that statuses, plots and checks are made from. Everything else is of use while a run is looked into."""

THINNED_TYPES = ("ASSET_MATERIALIZATION", "ASSET_OBSERVATION", "ASSET_MATERIALIZATION_PLANNED")

# A run is ours by its job's name; one whose job is Dagster's own, by what it did to our assets and their checks; what
# belongs to no run, by its asset.
_OPERATIONAL = text("""
DELETE FROM event_logs WHERE id IN (
    SELECT old.id FROM event_logs old WHERE old.timestamp < :before
       AND (old.dagster_event_type IS NULL OR old.dagster_event_type <> ALL (:kept))
       AND (EXISTS (SELECT FROM runs WHERE runs.run_id = old.run_id AND runs.pipeline_name = ANY (:jobs))
            OR (EXISTS (SELECT FROM runs WHERE runs.run_id = old.run_id AND left(runs.pipeline_name, 2) = '__')
                AND (EXISTS (SELECT FROM event_logs ours
                              WHERE ours.run_id = old.run_id AND ours.asset_key = ANY (:assets))
                     OR old.run_id IN (SELECT run_id FROM asset_check_executions WHERE asset_key = ANY (:assets))))
            OR (old.run_id = '' AND old.asset_key = ANY (:assets)))
     ORDER BY old.id LIMIT :batch)
""")
_SUPERSEDED = text("""
DELETE FROM event_logs WHERE id IN (
    SELECT old.id FROM event_logs old
     WHERE old.timestamp < :before AND old.dagster_event_type = ANY (:thinned) AND old.asset_key = ANY (:assets)
       AND EXISTS (SELECT FROM event_logs newer
                    WHERE newer.asset_key = old.asset_key AND newer.dagster_event_type = old.dagster_event_type
                      AND newer.partition IS NOT DISTINCT FROM old.partition AND newer.id > old.id)
     ORDER BY old.id LIMIT :batch)
RETURNING id
""")
_TAGS = text("DELETE FROM asset_event_tags WHERE event_id = ANY (:ids)")
# What the UI shows of a check is this table. The event in the log an answer came from doesn't name the asset.
_ANSWERS = text("""
DELETE FROM asset_check_executions WHERE id IN (
    SELECT old.id FROM asset_check_executions old
     WHERE old.evaluation_event_timestamp < :before AND old.asset_key = ANY (:assets)
       AND EXISTS (SELECT FROM asset_check_executions newer
                    WHERE newer.asset_key = old.asset_key AND newer.check_name = old.check_name
                      AND newer.execution_status <> 'PLANNED' AND newer.id > old.id)
     ORDER BY old.id LIMIT :batch)
RETURNING evaluation_event_storage_id
""")
_ORIGINS = text("DELETE FROM event_logs WHERE id = ANY (:ids)")


@dataclass(frozen=True, slots=True)
class Ours:
    """What may be deleted from: names of jobs, and asset keys as Dagster stores them."""

    jobs: tuple[str, ...]
    assets: tuple[str, ...]

    def values(self, before: datetime, batch: int) -> dict[str, Any]:
        """These as parameters, with a limit in time and one in rows."""
        naive = before.replace(tzinfo=None)  # Dagster's columns hold UTC without saying so
        return {"before": naive, "batch": batch, "jobs": list(self.jobs), "assets": list(self.assets)}


def purge_operational(connection: Connection, ours: Ours, before: datetime, batch: int) -> int:
    """Delete up to `batch` log lines and step events of our runs of before then; how many there were."""
    values = ours.values(before, batch) | {"kept": list(KEPT_TYPES)}
    return int(connection.execute(_OPERATIONAL, values).rowcount)


def purge_superseded(connection: Connection, ours: Ours, before: datetime, batch: int) -> int:
    """Delete up to `batch` events of our assets of before then that a newer one of their partition has replaced."""
    values = ours.values(before, batch) | {"thinned": list(THINNED_TYPES)}
    ids = list(connection.execute(_SUPERSEDED, values).scalars())
    connection.execute(_TAGS, {"ids": ids})
    return len(ids)


def purge_answers(connection: Connection, ours: Ours, before: datetime, batch: int) -> int:
    """Delete up to `batch` answers to checks of our assets of before then, with the events they came from.

    Each check keeps its newest; how many there were.
    """
    ids = list(connection.execute(_ANSWERS, ours.values(before, batch)).scalars())
    connection.execute(_ORIGINS, {"ids": [id for id in ids if id is not None]})
    return len(ids)
