"""`python -m gtmc_pipelines_tests.bench.hostile`: noisy neighbours and a large packed body, measured and judged."""

from __future__ import annotations

import gzip
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from rich.console import Console

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines.storage.engine import open_database
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.workflows.namespace import prepare_namespace
from gtmc_pipelines_tests.connectors.hostile_vendor import DRIPS
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer
from gtmc_pipelines_tests.workflows.conftest import running_worker
from gtmc_pipelines_tests.workflows.noisy_scene import noisy

TENANTS, SLOTS, MOST_SECONDS, MOST_GONE_SECONDS = 20, 8, 180.0, 1.0
CONSOLE = Console(highlight=False)
BODY_BYTES, MOST_BODY_MB = 250 * 1024 * 1024, 330
_BODY = "--body"


def neighbours() -> bool:
    """Twenty hostile tenants on eight slots: how long a healthy sync takes, and how soon they are gone."""
    with tempfile.TemporaryDirectory(prefix="gtmc-hostile-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        postgres = EmbeddedPostgres(home / "postgres", port=free_port())
        temporal = EmbeddedTemporal(home / "temporal", port=free_port(), ui_port=free_port())
        try:
            postgres.start()
            postgres.ensure_database("gtmc")
            temporal.start()
            migrate(postgres.url("gtmc"))
            prepare_namespace(temporal.address, "default")
            values = {
                "GTMC_HOME": home,
                "GTMC_DATABASE_URL": postgres.url("gtmc"),
                "TEMPORAL_ADDRESS": temporal.address,
                "GTMC_TASK_QUEUE": f"hostile-{uuid.uuid4().hex[:8]}",
                "CONNECTOR_ENCRYPTION_KEY": os.urandom(32).hex(),
            }
            return _besieged(Settings(**values))  # type: ignore[arg-type]
        finally:
            temporal.stop()
            postgres.stop()


def _besieged(settings: Settings) -> bool:
    database = open_database(settings.required("database_url"), pool_size=2 * SLOTS)
    try:
        with noisy(settings, database, list(DRIPS)) as scene, running_worker(scene.settings, database, SLOTS):
            healthy = scene.healthy()
            scene.besiege(TENANTS)
            began = time.monotonic()
            is_success = scene.sync(healthy).is_success
            took = time.monotonic() - began
            gone = scene.relieve()
    finally:
        database.close()
    CONSOLE.print(
        f"healthy no-change sync among {TENANTS} hostile tenants on {SLOTS} slots: {took:.1f} s (< {MOST_SECONDS:.0f})"
    )
    CONSOLE.print(f"sockets and threads gone after the last cancel was heard: {gone:.2f} s (< {MOST_GONE_SECONDS:.0f})")
    return is_success and took < MOST_SECONDS and gone < MOST_GONE_SECONDS


def body() -> None:
    """In a process of its own: what reading a large packed body adds to the peak."""
    line = random.Random(7).randbytes(4_000).hex().encode()
    vendor = ScriptedVendor()
    packed = b"".join(gzip.compress(line * 128, 1) for _ in range(BODY_BYTES // (len(line) * 128)))
    vendor.script.append(answer(200, packed, Content_Encoding="gzip"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with VendorSession("Acme", vendor.settings()) as session:
        size = len(session.get(f"http://{vendor.host}/").content)
    sys.stdout.write(f"{size} {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024}\n")
    vendor.close()


def large_body() -> bool:
    """What a packed body of 250 MB costs."""
    command = [sys.executable, "-m", "gtmc_pipelines_tests.bench.hostile", _BODY]
    size, added = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    CONSOLE.print(f"a packed body of {size / 1e6:.0f} MB adds {added} MB to the peak (< {MOST_BODY_MB})")
    return added < MOST_BODY_MB


if __name__ == "__main__":
    if _BODY in sys.argv:
        body()
    else:
        sys.exit(0 if all([large_body(), neighbours()]) else 1)
