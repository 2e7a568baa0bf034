"""The worker: runs workflows and activities of one task queue until it is told to stop."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.client import Client
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.vault.log_lines import set_up_logging
from gtmc_pipelines.vault.redaction import Redactor
from gtmc_pipelines.workflows.activities.registered import SyncActivities
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.admission import BEGUN_FOR_A_SLOT, FairSlots
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.connector_sync import ConnectorSyncWorkflow
from gtmc_pipelines.workflows.liveness import is_holding
from gtmc_pipelines.workflows.pollers import until_polling
from gtmc_pipelines.workflows.renormalize import RenormalizeWorkflow
from gtmc_pipelines.workflows.scheduled_sync import ScheduledSyncWorkflow
from gtmc_pipelines.workflows.slots import Slots
from gtmc_pipelines.workflows.stuck import free_stuck

_SWITCH_SECONDS = 0.0005  # the default 5 ms lets the reader hold the interpreter each time a write returns
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h
_LARGE_BYTES = 1024 * 1024
_GRACE = timedelta(seconds=20)
WORKFLOWS: list[type] = [ConnectorSyncWorkflow, RenormalizeWorkflow, ScheduledSyncWorkflow]
_log = logging.getLogger(__name__)


def run_worker(settings: Settings, *, concurrency: int | None = None, on_ready: Callable[[str], None] = print) -> None:
    """Poll until SIGTERM or SIGINT; running segments stop at their next batch and are gone on with elsewhere.

    `on_ready` is given one line once polling has begun. Raises Misuse when Temporal, PostgreSQL or
    the encryption key is missing.
    """
    redactor = Redactor(settings.secrets)
    set_up_logging(settings.log_level, redactor)
    sys.setswitchinterval(_SWITCH_SECONDS)
    _share_memory_between_threads()
    asyncio.run(_Process(settings, concurrency or settings.worker_concurrency, redactor).work(on_ready))


def _share_memory_between_threads() -> None:
    """Give all threads two of glibc's arenas instead of eight a core, and page-sized buffers back to the system.

    What one thread frees another can use. Peak at a million contacts: 192 MB with this, 201 MB without.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def build_worker(client: Client, task_queue: str, services: Services, concurrency: int) -> Worker:
    """A worker for `concurrency` syncs at once, fairly shared. Heartbeats go out at least three times a time limit."""
    begun = BEGUN_FOR_A_SLOT * concurrency
    throttle = timedelta(seconds=min(5.0, services.settings.heartbeat_seconds / 3))
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=SyncActivities(services).all,
        activity_executor=ThreadPoolExecutor(begun, thread_name_prefix="sync"),
        max_concurrent_activities=begun,
        interceptors=[FairSlots(Slots(concurrency))],
        max_heartbeat_throttle_interval=throttle,
        default_heartbeat_throttle_interval=throttle,
        graceful_shutdown_timeout=_GRACE,
        workflow_runner=workflow_runner(),
    )


def workflow_runner() -> SandboxedWorkflowRunner:
    """Temporal's sandbox for workflow code; our own words pass through, they are pure."""
    ours = ("gtmc_pipelines.model", "gtmc_pipelines.workflows.inputs", "gtmc_pipelines.workflows.documented_inputs")
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*ours))


class _Process:
    """One worker process: what it holds open while it polls."""

    def __init__(self, settings: Settings, concurrency: int, redactor: Redactor) -> None:
        self._settings = settings
        self._concurrency = concurrency
        self._redactor = redactor

    async def work(self, on_ready: Callable[[str], None]) -> None:
        settings, stop = self._settings, asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        identity = f"{os.getpid()}@{socket.gethostname()}"
        keys = key_ring(settings)
        database = open_database(settings.required("database_url"), pool_size=2 * self._concurrency)
        try:
            address = settings.required("temporal_address")
            client = await connect(address, settings.temporal_namespace, runtime=_runtime(), identity=identity)
            services = Services(settings, database, keys, _asker(client), self._redactor)
            async with build_worker(client, settings.task_queue, services, self._concurrency):
                await asyncio.to_thread(_free_stuck, database, services.is_running)
                await until_polling(client, settings.task_queue, identity)
                on_ready(f"Worker {identity} polls {settings.task_queue} at {address}.")
                await stop.wait()
        finally:
            database.close()


def _runtime() -> Runtime:
    forwarding = LogForwardingConfig(logger=logging.getLogger("temporalio.core"))
    logs = LoggingConfig(filter=TelemetryFilter(core_level="WARN", other_level="ERROR"), forwarding=forwarding)
    return Runtime(telemetry=TelemetryConfig(logging=logs), worker_heartbeat_interval=timedelta(seconds=10))


def _asker(client: Client) -> Callable[[Held], bool]:
    """`is_holding` for activities, which are in threads: asked on the worker's own loop."""
    loop = asyncio.get_running_loop()

    def ask(held: Held) -> bool:
        return asyncio.run_coroutine_threadsafe(is_holding(client, held), loop).result()

    return ask


def _free_stuck(database: Database, is_running_now: Callable[[Held], bool]) -> None:
    try:
        for freed in free_stuck(database, is_running_now):
            _log.warning("freed %s of %s: %s is gone", freed.connector_type, freed.tenant_id, freed.workflow_id)
    except GtmcError as error:
        _log.warning("stuck connectors were not looked for: %s", error)
