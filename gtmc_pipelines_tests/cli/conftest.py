"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene
from gtmc_pipelines_tests.workflows.conftest import KEY


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
