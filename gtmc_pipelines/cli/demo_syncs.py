"""The demo's syncs: launched in Dagster, watched in `sync_logs` while they run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from gtmc_pipelines.cli.console import Sheet, new_table, redrawn
from gtmc_pipelines.cli.demo_setup import Subject
from gtmc_pipelines.defs.launch import RunningDagster
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import SyncLog, list_syncs

_LOOK_SECONDS = 0.5
Results = Mapping[Subject, SyncLog]


def sync_through_dagster(
    dagster: RunningDagster, database: Database, subjects: Sequence[Subject], mode: SyncMode
) -> Results:
    """One sweep run per connector type over all its tenants; gives the sync log of each subject.

    Raises Broken naming the run that failed, with its address.
    """
    runs = {connector: _launch(dagster, connector, subjects, mode) for connector in _types(subjects)}
    statuses: dict[str, str] = {}
    with redrawn() as redraw:
        for statuses in dagster.follow(list(runs.values())):  # noqa: B007 - the last one is used below
            redraw(_progress(_logs(database, subjects, runs), subjects))
    logs = _logs(database, subjects, runs)
    for connector, run in runs.items():
        if statuses[run] != "SUCCESS":
            reasons = [
                f"{subject.tenant_id}: {log.error_message}"
                for subject, log in logs.items()
                if subject.connector is connector and log.error_message
            ]
            raise Broken(
                "dagster_run_failed",
                f"The {mode} {connector.label} run ended with {statuses[run]}. {' '.join(reasons)}".strip(),
                next_step=f"`gtmc demo --keep` leaves the UI up; the run's log is {dagster.run_url(run)}",
            )
    return logs


def settle(
    dagster: RunningDagster, database: Database, subjects: Sequence[Subject], *, within_seconds: float = 300
) -> None:
    """Wait until nobody syncs: no tick, no run, no open sync of these connectors. Sensors start syncs of their own.

    Raises Broken naming what is still at work after `within_seconds`.
    """
    deadline = time.monotonic() + within_seconds
    while busy := [*dagster.at_work(), *_open_syncs(database, subjects)]:
        if time.monotonic() > deadline:
            raise Broken(
                "demo_unsettled",
                f"Still at work after {within_seconds:.0f} seconds: {', '.join(busy[:5])}.",
                next_step="`gtmc demo --keep` leaves the UI up; look at its runs.",
            )
        time.sleep(_LOOK_SECONDS)


def _open_syncs(database: Database, subjects: Sequence[Subject]) -> list[str]:
    return [
        f"sync {log.workflow_id}"
        for subject in subjects
        for log in list_syncs(database, subject.tenant_id, subject.connector_id, limit=5)
        if log.completed_at is None
    ]


def _types(subjects: Sequence[Subject]) -> list[ConnectorType]:
    return list(dict.fromkeys(subject.connector for subject in subjects))


def _launch(dagster: RunningDagster, connector: ConnectorType, subjects: Sequence[Subject], mode: SyncMode) -> str:
    tenants = [subject.tenant_id for subject in subjects if subject.connector is connector]
    for tenant in tenants:
        dagster.add_partition(f"{connector}_tenants", tenant)
    config = {"ops": {str(connector): {"config": {"sync_type": str(mode), "tenant_ids": tenants}}}}
    return dagster.launch(f"{connector}_sync", config, {"gtmc/demo": "true"})


def _logs(database: Database, subjects: Sequence[Subject], runs: Mapping[ConnectorType, str]) -> dict[Subject, SyncLog]:
    found = {}
    for subject in subjects:
        for log in list_syncs(database, subject.tenant_id, subject.connector_id, limit=3):
            if log.dagster_run_id == runs[subject.connector]:
                found[subject] = log
                break
    return found


def _progress(logs: Results, subjects: Sequence[Subject]) -> Sheet:
    table = new_table()
    for column in ("connector", "tenant", "phase", "created", "updated", "unchanged", "deleted", "failed"):
        table.add_column(column, justify="left" if column in {"connector", "tenant", "phase"} else "right")
    for subject in subjects:
        log = logs.get(subject)
        if log is None:
            table.add_row(subject.connector.label, subject.tenant_id, "waiting for Dagster")
            continue
        counts = log.counts
        numbers = (counts.created, counts.updated, counts.unchanged, counts.deleted, counts.failed)
        table.add_row(
            subject.connector.label, subject.tenant_id, log.phase or log.status, *(f"{number:,}" for number in numbers)
        )
    return table
