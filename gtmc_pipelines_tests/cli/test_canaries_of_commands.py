"""Secrets planted in every credential, reference and key appear in nothing that an administrator's commands say."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.registry import login_of
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing, generate_key_hex
from gtmc_pipelines.vault.secret import Secret

pytestmark = pytest.mark.services

runner = CliRunner()
CANARY = "canary7c1e"


@pytest.fixture
def planted(
    database: Database, tenant: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A tenant with all five connectors, each secret a canary, every vendor a closed port; what to look for."""
    monkeypatch.setattr(VendorSession, "pause", lambda *_: None)  # between attempts at the closed port
    key, host = generate_key_hex(), f"127.0.0.1:{free_port()}"
    for kind in ConnectorType:
        row = add_connector(database, tenant, kind)
        login = login_of(kind)
        names = login.credential_names if isinstance(login, KeyLogin) else ("access_token", "refresh_token")
        StoredCredentials(database, KeyRing.from_hex(key), tenant, row.id).save(
            {name: Secret(f"{CANARY}-{kind}-{name}") for name in names}
        )
        with database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
    vendor = ("CUSTOMERIO_API_URL", "CUSTOMERIO_EU_API_URL", "CUSTOMERIO_TRACK_URL", "DELIVRAI_API_URL")
    others = ("FATHOM_BASE_URL", "SALESFORCE_LOGIN_URL", "O365_LOGIN_URL", "O365_GRAPH_URL")
    for name in (*vendor, *others):
        monkeypatch.setenv(name, f"http://{host}")
    for name, value in {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": key,
        "GTMC_SANDBOX_HOSTS": host,
        "SALESFORCE_CLIENT_ID": "client",
        "SALESFORCE_CLIENT_SECRET": f"{CANARY}-app",
        "O365_CLIENT_ID": "client",
        "O365_CLIENT_SECRET": f"{CANARY}-app",
        "GTMC_SECRET_OF_FILE": f"{CANARY}-referred",
    }.items():
        monkeypatch.setenv(name, value)
    return [CANARY, key]


def _file(tenant: str, folder: Path) -> str:
    """A file that refers to a planted key, and one that holds it where it doesn't belong."""
    head = f"version: 1\ntenants:\n  {tenant}:\n    connectors:\n      "
    (folder / "good.yaml").write_text(head + "fathom:\n        credentials: {api_key: {env: GTMC_SECRET_OF_FILE}}\n")
    (folder / "bad.yaml").write_text(
        head + f"fathom: {{name: [{CANARY}], credentials: {{api_key: {CANARY}}}, schedule: {CANARY}}}\n"
    )
    (folder / "broken.yaml").write_text(head + f"fathom: {{credentials: {{api_key: [{CANARY}\n")
    return str(folder)


def test_no_command_says_a_secret(
    planted: list[str],
    database: Database,
    tenant: str,
    postgres_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    folder, of_tenant = _file(tenant, tmp_path), ("--tenant", tenant)
    commands: list[tuple[str, ...]] = [
        ("keys", "rotate", "--dry-run"),
        ("audit", "list", *of_tenant),
        ("audit", "list", *of_tenant, "--json"),
        ("audit", "verify", *of_tenant),
        ("connectors", "list", *of_tenant, "--json"),
        ("connectors", "export", *of_tenant),
        *(("connectors", "apply", f"{folder}/{name}.yaml", "--yes") for name in ("good", "bad", "broken")),
    ]
    for kind in ConnectorType:
        here = (*of_tenant, "--connector", kind.value)
        commands += [
            ("connectors", "schedule", *here, "--cron", "0 6 * * *"),
            ("connectors", "show", *here, "--json"),
            ("connectors", "verify", *here),
            ("connectors", "disconnect", *here),
        ]
    said = ""
    for command in commands:
        result = runner.invoke(app, list(command))
        said += result.output
        if result.exc_info is not None:
            said += "".join(traceback.format_exception(*result.exc_info))
    logged = "\n".join(record.getMessage() for record in caplog.records) + caplog.text
    for secret in planted:
        assert secret not in said
        assert secret not in logged
    assert said.count("bad_connector_file") + said.count("faults") > 0
    assert said.count("disconnected") >= len(ConnectorType)
    for secret in planted:
        assert not _rows_with(postgres_url, secret)


def _rows_with(postgres_url: str, secret: str) -> list[Any]:
    """Tables that hold the text anywhere; sealed columns don't, since what they hold is sealed."""
    url = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables WHERE schemaname IN ('public', 'raw')"
        ).fetchall()
        return [
            table
            for (table,) in tables
            if connection.execute(
                f"SELECT 1 FROM {table} r WHERE strpos(r::text, %s) > 0 LIMIT 1", (secret,)
            ).fetchone()
        ]
