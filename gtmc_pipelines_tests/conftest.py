"""Real services, started once a session and only when a test asks: PostgreSQL, Temporal, the sandbox."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

os.environ["GTMC_DEVELOPMENT"] = "1"  # the suite's vendors are imitated ones
os.environ["COLUMNS"] = "160"  # tables are as wide for every process of the suite, whatever terminal it has

from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.postgres import EmbeddedPostgres
from gtmc_pipelines.stack.process import ChildProcess, ChildSpec
from gtmc_pipelines.stack.temporal import EmbeddedTemporal

if TYPE_CHECKING:
    from gtmc_pipelines.storage.engine import Database

SANDBOX_SECONDS = 60.0
_LONGEST_FIRST = ("browser", "chaos", "services")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests first, so that no process of the suite is left alone with them at the end."""

    def rank(item: pytest.Item) -> int:
        marks = {mark.name for mark in item.iter_markers()}
        return next((place for place, mark in enumerate(_LONGEST_FIRST) if mark in marks), len(_LONGEST_FIRST))

    ranks: dict[Path, int] = {}
    for item in items:
        ranks[item.path] = min(rank(item), ranks.get(item.path, rank(item)))
    items.sort(key=lambda item: ranks[item.path])


@pytest.fixture(scope="session")
def services_home() -> Iterator[Path]:
    """A folder for data and logs that any account can enter (pytest's own is closed to the server's account)."""
    folder = Path(tempfile.mkdtemp(prefix="gtmc-tests-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url(services_home: Path) -> Iterator[str]:
    """Superuser URL of an empty database on a fresh server."""
    server = EmbeddedPostgres(services_home / "postgres", port=free_port())
    server.start()
    try:
        server.ensure_database("gtmc")
        yield server.url("gtmc")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def database(postgres_url: str) -> Iterator[Database]:
    """The migrated database, as the other rooms see it."""
    from gtmc_pipelines.storage.engine import open_database
    from gtmc_pipelines.storage.migrate import migrate

    migrate(postgres_url)
    opened = open_database(postgres_url)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def tenant(database: Database) -> Iterator[str]:
    """Id of a tenant that no other test has. The vendors' accounts it holds are free again after the test."""
    from gtmc_pipelines.storage.tenants import add_tenant

    tenant_id = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, tenant_id, f"Tenant {tenant_id}")
    yield tenant_id
    with database.tenant(tenant_id) as handle:
        handle.exec_driver_sql("DELETE FROM connection_owners")


@pytest.fixture(scope="session")
def temporal_address(services_home: Path) -> Iterator[str]:
    """host:port of a fresh Temporal server whose namespace `default` is prepared."""
    from gtmc_pipelines.workflows.namespace import prepare_namespace

    server = EmbeddedTemporal(services_home / "temporal", port=free_port(), ui_port=free_port())
    server.start()
    try:
        prepare_namespace(server.address, "default")
        yield server.address
    finally:
        server.stop()


@pytest.fixture(scope="session")
def sandbox(services_home: Path) -> Iterator[dict[str, Any]]:
    """The running sandbox: what `gtmc sandbox --json` prints."""
    log = services_home / "sandbox.json"
    callback = f"http://localhost:{free_port()}/callback"  # 8400 may be another suite's
    child = ChildProcess.spawn(
        ChildSpec(
            name="the sandbox",
            command=[sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox", "--json", "--redirect-uri", callback],
            log_file=services_home / "sandbox.log",
            output_file=log,
            environment=child_environment({"GTMC_HOME": str(services_home / "sandbox")}),
        )
    )
    try:
        child.wait_until(lambda: _is_json(log), within_seconds=SANDBOX_SECONDS)
        yield json.loads(log.read_text())
    finally:
        child.stop()


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except ValueError:
        return False
    return True
