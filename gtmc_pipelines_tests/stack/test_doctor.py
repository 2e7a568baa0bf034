"""The doctor says what is wrong, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.stack import doctor
from gtmc_pipelines.stack.doctor import Finding, examine
from gtmc_pipelines.stack.ports import free_port

FOREIGN = (
    "GTMC_DATABASE_URL",
    "TEMPORAL_ADDRESS",
    "GTMC_DAGSTER_URL",
    "CONNECTOR_ENCRYPTION_KEY",
    "GTMC_SANDBOX_HOSTS",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GTMC_HOME", str(tmp_path))
    return monkeypatch


def _unreachable(_settings: Settings) -> Finding:
    raise Misuse("gone", "It is gone.", next_step="Bring it back.")


def test_an_error_of_a_probe_becomes_a_row_with_its_next_step() -> None:
    findings = examine(load_settings(), [("Thing", _unreachable), ("Disk", doctor.disk)])
    assert findings[0] == Finding("Thing", "wrong", "It is gone.", "Bring it back.")
    assert findings[1].state == "ok"


def test_nothing_running_is_missing_but_not_wrong() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    rows = {row["part"]: row for row in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert {rows[part]["state"] for part in ("PostgreSQL", "Temporal", "Dagster", "Stack")} == {"missing"}
    assert all(row["next_step"] for row in rows.values() if row["state"] == "missing")


def test_a_part_that_does_not_answer_makes_the_exit_status_one(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GTMC_DAGSTER_URL", f"http://127.0.0.1:{free_port()}")
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "doesn't answer" in result.stdout


def test_a_database_of_ones_own_without_a_key_is_wrong(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GTMC_DATABASE_URL", "postgresql://db.example/gtmc")
    assert doctor.encryption_key(load_settings()).state == "wrong"


def test_the_sandbox_opt_in_is_loud(environment: pytest.MonkeyPatch) -> None:
    assert doctor.sandbox(load_settings()).found.startswith("off")
    environment.setenv("GTMC_SANDBOX_HOSTS", "127.0.0.1:8800")
    finding = doctor.sandbox(load_settings())
    assert finding.found.startswith("ON for 1")
    assert "production" in finding.next_step


def test_a_full_disk_is_wrong(environment: pytest.MonkeyPatch) -> None:
    environment.setattr("gtmc_pipelines.stack.doctor._LEAST_FREE_BYTES", 10**18)
    assert doctor.disk(load_settings()).state == "wrong"
