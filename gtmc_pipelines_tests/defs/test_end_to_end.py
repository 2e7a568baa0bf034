"""Everything real: a Dagster run, a Temporal workflow, a worker, the sandbox's Salesforce, PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pytest

from gtmc_pipelines.defs.resources import SalesforceResource
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines_tests.defs.conftest import Connect, Materialize
from gtmc_pipelines_tests.defs.reading import materialized, number, sentence

pytestmark = pytest.mark.services

ORG = "initech"


@pytest.fixture
def sandbox_environment(
    sandbox: dict[str, Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The environment with the sandbox as Salesforce; gives what the sandbox says of it."""
    vendor: dict[str, Any] = sandbox["vendors"]["salesforce"]
    monkeypatch.setenv("SALESFORCE_LOGIN_URL", vendor["http"])
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", vendor["credentials"]["client_id"])
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", vendor["credentials"]["client_secret"])
    monkeypatch.setenv("GTMC_SANDBOX_HOSTS", urlsplit(vendor["http"]).netloc)
    return vendor


@pytest.fixture
def connect_org(sandbox_environment: dict[str, Any], connect: Connect) -> Callable[[str], None]:
    """Connects a tenant to the org."""

    def connected(tenant: str) -> None:
        token = sandbox_environment["credentials"]["orgs"][ORG]["access_token"]
        connect(tenant, options={"instance_url": sandbox_environment["http"]}, token=token)

    return connected


@pytest.mark.usefixtures("sandbox_environment", "worker")
def test_a_materialized_tenant_has_the_rows_and_dagster_knows_how_many(
    tenant: str,
    connect_org: Callable[[str], None],
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
) -> None:
    connect_org(tenant)
    result = materialize(tenant, sync_type="full")
    assert result.success, sentence(result)
    events = materialized(result, instance)
    for table in ("accounts", "people", "opportunities", "activities"):
        stored = _count(database, tenant, table)
        assert number(events[f"canonical/{table}"], "created") == stored > 0
        assert number(events[f"canonical/{table}"], "dagster/partition_row_count") == stored
        assert events[f"canonical/{table}"].metadata["balanced"].value is True
    assert events["raw/contacts"].metadata["next_incremental_from"].value

    again = materialize(tenant)
    unchanged = materialized(again, instance)
    assert number(unchanged["canonical/people"], "created") == 0
    assert unchanged["canonical/people"].metadata["sync_type"].value == "incremental"


@pytest.mark.usefixtures("sandbox_environment")
def test_an_ad_hoc_asset_gets_a_client_of_the_tenants_org(tenant: str, connect_org: Callable[[str], None]) -> None:
    connect_org(tenant)
    with SalesforceResource(page_records=500).client(tenant) as sf:
        answer = sf.query("SELECT Id, Name FROM Account LIMIT 3")
    assert len(answer["records"]) == 3


@pytest.mark.usefixtures("sandbox_environment", "worker")
def test_a_revoked_grant_fails_the_run_with_what_to_do(
    tenant: str, sandbox_environment: dict[str, Any], connect: Connect, materialize: Materialize
) -> None:
    connect(tenant, options={"instance_url": sandbox_environment["http"]}, token="00Dxx!revoked")
    result = materialize(tenant)
    assert not result.success
    assert "gtmc connectors connect" in sentence(result)


def _count(database: Database, tenant: str, table: str) -> int:
    with database.tenant(tenant) as handle:
        (found,) = rows(handle, f"SELECT count(*) AS n FROM {table} WHERE deleted_at IS NULL")
    return int(found["n"])
