"""Fixtures of the command line's tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene
from gtmc_pipelines_tests.workflows.conftest import KEY, running_worker


@pytest.fixture
def mapped(
    database: Database, tenant: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MappingScene:
    """A connector with the default mappings and no rows yet."""
    for name, value in {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)
    return MappingScene(database, tenant, add_connector(database, tenant, "salesforce"), tmp_path)


@pytest.fixture
def working(mapped: MappingScene, temporal_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MappingScene]:
    """The connector with a worker on a task queue of its own."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    monkeypatch.setenv("GTMC_TASK_QUEUE", f"test-{uuid.uuid4().hex[:12]}")
    monkeypatch.setenv("GTMC_HEARTBEAT_SECONDS", "4")
    with running_worker(load_settings(), mapped.database):
        yield mapped
