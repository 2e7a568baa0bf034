"""`python -m gtmc_pipelines_tests.bench.meetings`: memory of a worker that syncs many long meetings from Fathom.

Reads 5,000 meetings of 60 kB transcript each from an imitated Fathom (its own process), maps and writes
them as a worker does, and exits with 1 when the worker's resident memory passes its bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.login import HeldCredentials
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom
from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.storage.batch import Batch
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows import worker
from gtmc_pipelines.workflows.activities.ahead import Ahead
from gtmc_pipelines.workflows.activities.coalesce import coalesce
from gtmc_pipelines_tests.bench.meter import Meter
from gtmc_pipelines_tests.storage.write_scene import Scene

MOST_MEGABYTES = 300
STREAM = stream_of(ConnectorType.FATHOM, "meetings")


def bench(
    meetings: Annotated[int, typer.Option(help="Meetings of the account.")] = 5_000,
    transcript: Annotated[int, typer.Option(help="Characters said in each.")] = 60_000,
) -> None:
    """Sync them twice in a process of its own; print seconds, CPU and memory as JSON."""
    sys.stderr.write(f"Syncing {meetings:,} meetings of {transcript:,} characters, twice: some minutes.\n")
    with tempfile.TemporaryDirectory(prefix="gtmc-bench-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        server = EmbeddedPostgres(home / "postgres", port=free_port())
        server.start()
        sandbox = _sandbox(home, meetings, transcript)
        try:
            server.ensure_database("bench")
            migrate(server.url("bench"))
            command = [sys.executable, "-m", __spec__.name, "child", server.url("bench"), str(home / "sandbox.json")]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        finally:
            sandbox.stop()
            server.stop()
    found = json.loads(done.stdout)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if max(load["rss_mb"] for load in found.values()) > MOST_MEGABYTES:
        raise typer.Exit(1)


def _sandbox(home: Path, meetings: int, transcript: int) -> ChildProcess:
    announcement = home / "sandbox.json"
    child = ChildProcess.spawn(
        ChildSpec(
            name="the sandbox",
            command=[
                *(sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox", "--json", "--vendor", "fathom"),
                *("--size", f"meetings={meetings}", "--size", f"transcript_bytes={transcript}"),
            ],
            log_file=home / "sandbox.log",
            output_file=announcement,
            environment=child_environment({"GTMC_HOME": str(home / "sandbox")}),
        )
    )
    child.wait_until(lambda: announcement.read_text().endswith("\n"), within_seconds=60.0)
    return child


def measured(url: str, announcement: dict[str, Any]) -> dict[str, Any]:
    """First load and identical re-read by what a worker runs; memory is the peak so far."""
    sys.setswitchinterval(worker._SWITCH_SECONDS)
    meter, database, results = Meter(url.replace("+psycopg", "")), Database(url.replace("+psycopg", "")), {}
    scene = _scene(database)
    for name in ("first", "again"):
        meter.start()
        counts = _load(database, scene, announcement)
        results[name] = meter.stop(counts.read) | {"counts": counts.as_dict()}
    database.close()
    return results


def _scene(database: Database) -> Scene:
    add_tenant(database, "bench", "Bench")
    return Scene(database, "bench", ConnectorType.FATHOM, "meetings")


def _load(database: Database, scene: Scene, announcement: dict[str, Any]) -> Counts:
    assert STREAM is not None
    defaults = connector_of(ConnectorType.FATHOM).default_mappings()
    mappers = [
        compile_mapping(entity, defaults[entity], STREAM.name, STREAM.prefix_of(entity)) for entity in STREAM.entities
    ]
    total = Counts()
    with BatchWriter(database, scene.target, mappers) as writer, Ahead(_pages(announcement), lambda: None) as pages:
        for page in pages:
            total += writer.write(Batch(page.records, page.checkpoint, page.watermark, page.rejects, page.skipped))
    return total


def _pages(announcement: dict[str, Any]) -> Iterator[Page]:
    assert STREAM is not None
    vendor = announcement["vendors"]["fathom"]
    settings = ConnectorSettings(
        "bench",
        "bench",
        options={"base_url": f"{vendor['http']}/external/v1", "rate_limit": 90_000, "heavy_rate_limit": 90_000},
        sandbox_hosts=frozenset({vendor["http"].partition("://")[2]}),
    )
    connector = connector_of(ConnectorType.FATHOM)
    key = Secret(vendor["credentials"]["orgs"]["acme"]["api_key"])
    session = connector.authenticate(HeldCredentials({"api_key": key}), settings)
    try:
        yield from coalesce(connector.read(session, STREAM, ReadFrom(SyncMode.FULL, datetime.now(UTC))))
    finally:
        session.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        sys.stdout.write(json.dumps(measured(sys.argv[2], json.loads(Path(sys.argv[3]).read_text()))))
    else:
        typer.run(bench)
