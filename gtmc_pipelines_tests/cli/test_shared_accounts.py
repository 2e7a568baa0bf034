"""A second tenant with the same account is refused for every vendor, until the operator allows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.keyring import generate_key_hex

pytestmark = pytest.mark.services

runner = CliRunner()
OPTIONS: dict[str, tuple[str, ...]] = {
    "customerio": (),
    "delivrai": ("profile=public", "topic_id=4eyes_112"),
    "fathom": (),
}
"""Vendors that take keys, and with what they are added. Fathom doesn't say whose key it is."""


@pytest.fixture
def rival(database: Database, tenant: str) -> Iterator[str]:
    """Another tenant."""
    name = f"rival-{tenant}"
    add_tenant(database, name)
    yield name
    with database.tenant(name) as handle:
        handle.exec_driver_sql("DELETE FROM connection_owners")


@pytest.fixture
def orgs(
    sandbox: dict[str, Any], database: Database, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, Any]]:
    """What the org `acme` has at each vendor that takes keys, and settings with which `gtmc` finds the vendors."""
    vendors = sandbox["vendors"]
    base = {name: vendors[name]["http"] for name in OPTIONS}
    for name, value in {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": generate_key_hex(),
        "CUSTOMERIO_API_URL": f"{base['customerio']}/v1",
        "CUSTOMERIO_EU_API_URL": f"{base['customerio']}/eu/v1",
        "DELIVRAI_API_URL": base["delivrai"],
        "FATHOM_BASE_URL": f"{base['fathom']}/external/v1",
        "GTMC_SANDBOX_HOSTS": ",".join(address.partition("://")[2] for address in base.values()),
    }.items():
        monkeypatch.setenv(name, value)
    return {name: vendors[name]["credentials"]["orgs"]["acme"] for name in OPTIONS}


def _connected(tenant: str, kind: str, org: dict[str, Any], *more: str) -> str:
    """Add the connector if it isn't there, and connect it: `connected`, or the code of the refusal."""
    options = [word for option in OPTIONS[kind] for word in ("--option", option)]
    runner.invoke(app, ["connectors", "add", "--tenant", tenant, "--type", kind, *options])
    keys = f"{org['api_key']}\n" + (f"{org['api_secret']}\n" if options else "")
    words = ["connectors", "connect", "--tenant", tenant, "--connector", kind, "--key-file", "-", "--json", *more]
    result = runner.invoke(app, words, input=keys)
    if isinstance(result.exception, Misuse):
        return result.exception.code
    assert result.exception is None, result.exception
    return str(json.loads(result.stdout)["status"])


@pytest.mark.parametrize("kind", ["customerio", "delivrai", "fathom"])
def test_a_key_of_an_account_another_tenant_holds_is_refused_until_the_operator_allows_it(
    orgs: dict[str, dict[str, Any]], tenant: str, rival: str, database: Database, kind: str
) -> None:
    org = orgs[kind]
    assert _connected(tenant, kind, org) == "connected"
    assert _connected(rival, kind, org) == "account_held"
    with database.tenant(rival) as handle:
        assert rows(handle, "SELECT config -> 'secrets' AS secrets FROM connectors") == [{"secrets": {}}]
    assert _connected(tenant, kind, org) == "connected", "whoever holds it connects again"
    assert _connected(rival, kind, org, "--allow-shared-account") == "connected"
    with database.tenant(rival) as handle:
        (audited,) = rows(handle, "SELECT changes FROM audit_log WHERE action = 'connector.connect'")
    assert audited["changes"]["after"]["may_share"] is True


def test_a_connector_from_before_is_noted_when_it_is_verified_and_two_are_told_so(
    orgs: dict[str, dict[str, Any]], tenant: str, rival: str, database: Database
) -> None:
    org = orgs["fathom"]
    for name in (tenant, rival):
        assert _connected(name, "fathom", org, "--allow-shared-account") == "connected"
        with database.tenant(name) as handle:
            handle.exec_driver_sql("DELETE FROM connection_owners")
    words = ["connectors", "verify", "--connector", "fathom", "--json", "--tenant"]
    first, second = (json.loads(runner.invoke(app, [*words, name]).stdout) for name in (tenant, rival))
    assert (first["healthy"], second["healthy"]) == (True, True)
    assert "warning" not in first
    assert second["warning"] == "another tenant has connected this account, too"
