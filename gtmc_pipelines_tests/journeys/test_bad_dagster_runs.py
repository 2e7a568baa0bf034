"""Bad input as a Dagster run meets it: the run fails within seconds, with the sentence a user can act on."""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest

from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines_tests.connectors.salesforce_scene import Org
from gtmc_pipelines_tests.defs import conftest as dagster_fixtures
from gtmc_pipelines_tests.defs.reading import sentence
from gtmc_pipelines_tests.workflows.conftest import running_worker

pytestmark = pytest.mark.services

environment = dagster_fixtures.environment
settings = dagster_fixtures.settings
connect = dagster_fixtures.connect
instance = dagster_fixtures.instance
materialize = dagster_fixtures.materialize

SECONDS = 15.0


@pytest.fixture
def as_salesforce(org: Org, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Org:
    """The org, as the Salesforce of this process and of its worker."""
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", org.base)
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", org.client_id)
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", org.client_secret)
    monkeypatch.setenv("GTMC_SANDBOX_HOSTS", urlsplit(org.base).netloc)
    return org


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("GTMC_DATABASE_URL", "postgresql://app:s3cret-pw@127.0.0.1:1/gtmc", "PostgreSQL at 127.0.0.1:1/gtmc"),
        ("TEMPORAL_ADDRESS", "127.0.0.1:1", "Temporal at 127.0.0.1:1"),
        ("GTMC_TASK_QUEUE", "nobody-polls-this", "No worker is polling"),
        ("CONNECTOR_ENCRYPTION_KEY", "short", "CONNECTOR_ENCRYPTION_KEY"),
    ],
)
def test_a_run_that_can_not_begin_fails_in_seconds_with_the_next_step(
    variable: str,
    value: str,
    words: str,
    tenant: str,
    connect: Any,
    materialize: Any,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect(tenant)
    monkeypatch.setenv(variable, value)
    began = time.monotonic()
    result: dg.ExecuteInProcessResult = materialize(tenant)
    assert time.monotonic() - began < SECONDS
    assert not result.success
    assert words in sentence(result)
    assert "s3cret-pw" not in sentence(result)
    assert list_syncs(database, tenant) == []


def test_a_worker_with_another_key_fails_the_run_and_says_which_variable(
    tenant: str, connect: Any, materialize: Any, settings: Settings, database: Database
) -> None:
    connect(tenant)
    with running_worker(_with_key(settings, os.urandom(32).hex()), database):
        result = materialize(tenant)
    assert not result.success
    assert "CONNECTOR_ENCRYPTION_KEY" in sentence(result)


def test_an_unparsable_page_fails_the_run_with_the_vendor_named(
    as_salesforce: Org, tenant: str, connect: Any, materialize: Any, settings: Settings, database: Database
) -> None:
    connect(tenant, options={"instance_url": as_salesforce.base}, token=as_salesforce.access_token)
    as_salesforce.break_("malformed_page", path="query")
    with running_worker(Settings(), database):
        result = materialize(tenant, assets=["raw/accounts"])
    assert not result.success
    assert "Salesforce" in sentence(result)


def _with_key(settings: Settings, key: str) -> Settings:
    return Settings(**{**settings.model_dump(by_alias=True, exclude_none=True), "CONNECTOR_ENCRYPTION_KEY": key})
