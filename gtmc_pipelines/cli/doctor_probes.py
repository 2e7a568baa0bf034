"""The probes of `gtmc doctor` that ask the other rooms: the database and the workers."""

from __future__ import annotations

from gtmc_pipelines.settings import Settings
from gtmc_pipelines.stack import doctor
from gtmc_pipelines.stack.doctor import Finding, Probe
from gtmc_pipelines.storage.engine import open_database
from gtmc_pipelines.storage.migrate import current_revision
from gtmc_pipelines.workflows.client import SyncClient


def database(settings: Settings) -> Finding:
    """Whether PostgreSQL answers, is migrated, and lets us act as the role that row-level security binds."""
    if settings.database_url is None:
        return Finding("PostgreSQL", "missing", "GTMC_DATABASE_URL is not set", "Start one with `gtmc up`.")
    open_database(settings.database_url, pool_size=1).close()
    revision = current_revision(settings.database_url)
    return Finding("PostgreSQL", "ok", f"schema {revision}, sessions act as gtmc_app")


def temporal(settings: Settings) -> Finding:
    """Whether Temporal answers and somebody polls the task queue."""
    if settings.temporal_address is None:
        return Finding("Temporal", "missing", "TEMPORAL_ADDRESS is not set", "Start one with `gtmc up`.")
    with SyncClient.open(settings) as client:
        client.require_workers()
        workers = sum(poller.is_fresh for poller in client.worker_pollers())
    return Finding("Temporal", "ok", f"{settings.temporal_address}, {workers} polling {settings.task_queue}")


PROBES: tuple[tuple[str, Probe], ...] = (
    ("Python", doctor.python),
    ("Stack", doctor.stack),
    ("Encryption key", doctor.encryption_key),
    ("PostgreSQL", database),
    ("Temporal", temporal),
    ("Dagster", doctor.dagster),
    ("Sandbox", doctor.sandbox),
    ("HTTP proxy", doctor.proxy),
    ("Disk", doctor.disk),
    ("Ports", doctor.ports),
)
