"""What a former commit left, taken over by today's worker: open workflows end, wrong rows are mended once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.ports import free_port, free_range
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.sandbox_part import sandbox_environment
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines_tests.fixtures.c2a9a3a.make import SIZES
from gtmc_pipelines_tests.fixtures.restored import C2A9A3A, FIRST_PORT, key_of, libpq, restore_database, unpacked

pytestmark = [pytest.mark.services, pytest.mark.nightly]

GTMC = [sys.executable, "-m", "gtmc_pipelines.cli.main"]
_MACHINES = """
SELECT count(*) FROM activities WHERE deleted_at IS NULL AND person_external_id ~ '^(postmaster|no-reply)@'
"""
Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def taken_over(postgres_url: str, database: Database, services_home: Path) -> Iterator[Environment]:
    """Database, Temporal, vendors and a worker on what the commit left; the environment that leads to them."""
    home = services_home / "taken-over"
    (home / "temporal").mkdir(parents=True)
    (home / "vendors").mkdir()
    first = free_range(FIRST_PORT, 10)
    if first != FIRST_PORT:  # addresses are in sealed values, too
        pytest.skip(f"the ports from {FIRST_PORT} on, where the vendors were, are taken")
    url = make_url(postgres_url).set(database="taken_over").render_as_string(hide_password=False)
    with psycopg.connect(libpq(postgres_url), autocommit=True) as superuser:
        superuser.execute("CREATE DATABASE taken_over TEMPLATE template0")
    restore_database(C2A9A3A, url, first_port=first)
    migrate(url)
    (home / "temporal" / "temporal.db").write_bytes(unpacked(C2A9A3A / "temporal.db.xz"))
    (home / "vendors" / "sandbox-state.json").write_bytes(unpacked(C2A9A3A / "sandbox-state.json.xz"))
    temporal = EmbeddedTemporal(home / "temporal", port=free_port(), ui_port=free_port())
    temporal.start()
    children = [_vendors(home, first)]
    try:
        environment = child_environment(
            {
                **sandbox_environment(json.loads((home / "sandbox.json").read_text())),
                "GTMC_HOME": str(home),
                "GTMC_DATABASE_URL": url,
                "TEMPORAL_ADDRESS": temporal.address,
                "CONNECTOR_ENCRYPTION_KEY": key_of(C2A9A3A),
                "GTMC_HEARTBEAT_SECONDS": "4",
                "GTMC_DEVELOPMENT": "true",
            }
        )
        children.append(ChildProcess.spawn(ChildSpec("worker", [*GTMC, "worker"], home / "worker.log", environment)))
        yield environment
    finally:
        for child in reversed(children):
            child.stop()
        temporal.stop()


def test_open_workflows_end_and_wrong_rows_are_mended_once(taken_over: Environment) -> None:
    _until(lambda: asyncio.run(_still_open(taken_over["TEMPORAL_ADDRESS"])) == [], 240)
    before = _asked(taken_over)
    assert before["applied"] is False
    assert {step["state"] for step in before["steps"]} <= {"to do", "waiting"}
    _killed_in_the_middle(taken_over)
    done = _asked(taken_over, "--apply", "--sync", "--at-once", "2")
    assert [mended["error"] for mended in done["mended"] if mended["error"]] == []
    assert {step["state"] for step in done["steps"]} == {"done"}
    assert _asked(taken_over, "--apply", "--sync")["mended"] == []
    with psycopg.connect(libpq(taken_over["GTMC_DATABASE_URL"])) as owner:
        found = owner.execute("SELECT domain FROM accounts WHERE deleted_at IS NULL").fetchall()
        domains = {name for (name,) in found}
        assert not domains & {"n.a", "other.example", "münchen.example", "-.com"}
        assert owner.execute(_MACHINES).fetchone() == (0,)


def _killed_in_the_middle(environment: Environment) -> None:
    """Once a first step is done, the command dies; what it had begun is under way."""
    words = [*GTMC, "upgrade-data", "--apply", "--at-once", "2"]
    with subprocess.Popen(words, env=dict(environment), stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        for line in command.stdout:
            if line.startswith("✓"):
                break
        command.kill()


def _asked(environment: Environment, *words: str) -> dict[str, Any]:
    command = [*GTMC, "upgrade-data", *words, "--json"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def _still_open(address: str) -> list[str]:
    client = await connect(address, "default")
    return [each.id async for each in client.list_workflows("ExecutionStatus = 'Running'")]


def _vendors(home: Path, first_port: int) -> ChildProcess:
    """The imitated vendors as they stood then, at ports of their own."""
    sizes = [word for name, size in SIZES.items() for word in ("--size", f"{name}={size}")]
    command = [*GTMC, "sandbox", "--json", "--port", str(first_port), "--state-dir", home / "vendors", *sizes]
    announced = home / "sandbox.json"
    child = ChildProcess.spawn(
        ChildSpec("vendors", command, home / "sandbox.log", child_environment({"GTMC_HOME": str(home)}), announced)
    )
    child.wait_until(lambda: announced.read_text().endswith("}\n"), within_seconds=60)
    return child


def _until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come so far"
        time.sleep(0.5)
