"""`gtmc keys rotate`: its proof at the end, what it says when it can't give one, and going on after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database, open_database
from gtmc_pipelines.storage.migrate import migrate
from gtmc_pipelines.storage.rotation import take_census
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.keyring import KeyRing, key_id
from gtmc_pipelines.vault.secret import Secret

pytestmark = pytest.mark.services

runner = CliRunner()
OLD, NEW = os.urandom(32), os.urandom(32)
TENANTS = tuple(f"tenant-{number:02}" for number in range(12))
CANARY = "canary-5e1f"


@pytest.fixture
def own(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of its own with twelve connected tenants, and settings with a new and a retired key."""
    name = f"rotation_{uuid.uuid4().hex[:10]}"
    with psycopg.connect(_libpq(postgres_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    migrate(url)
    database = open_database(url)
    for tenant in TENANTS:
        add_tenant(database, tenant)
        connector = add_connector(database, tenant, "salesforce")
        StoredCredentials(database, KeyRing(OLD), tenant, connector.id).save(
            {"access_token": Secret(f"{CANARY}-a"), "refresh_token": Secret(f"{CANARY}-r")}
        )
    monkeypatch.setenv("GTMC_HOME", str(tmp_path))
    monkeypatch.setenv("GTMC_DATABASE_URL", url)
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", NEW.hex())
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEYS_RETIRED", OLD.hex())
    yield database
    database.close()
    with psycopg.connect(_libpq(postgres_url), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def rotate(*more: str) -> Result:
    result = runner.invoke(app, ["keys", "rotate", *more])
    for secret in (CANARY, OLD.hex(), NEW.hex()):
        assert secret not in result.output + str(result.exception)
    return result


def test_it_ends_with_the_proof_that_no_secret_names_the_old_key(own: Database) -> None:
    result = rotate()
    assert result.exception is None, result.exception
    for step in ("1 add", "2 re-seal  24 secrets of 12 connectors", "3 verify   all 24", "4 retire"):
        assert step in result.stdout
    assert f"drop {key_id(OLD)} from CONNECTOR_ENCRYPTION_KEYS_RETIRED" in result.stdout
    again = json.loads(rotate("--json").stdout)
    assert (again["resealed_secrets"], again["secrets_left"]) == (0, 0)
    assert [(row["key"], row["secrets"]) for row in again["by_key"]] == [(key_id(NEW), 24)]


def test_a_dry_run_counts_and_changes_nothing(own: Database) -> None:
    before = _configs(own)
    shown = json.loads(rotate("--dry-run", "--json").stdout)
    assert (shown["dry_run"], shown["secrets_left"], shown["resealed_secrets"]) == (True, 24, 0)
    assert "24 secrets would be sealed again" in rotate("--dry-run").stdout
    assert _configs(own) == before


def test_secrets_that_do_not_open_fail_it_by_name(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONNECTOR_ENCRYPTION_KEYS_RETIRED")
    result = rotate()
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == "secrets_unopened"
    assert "24 stored secrets" in result.exception.sentence
    assert "access_token of salesforce of tenant tenant-00" in result.exception.sentence
    assert "unknown_sealing_key" in result.stdout
    tried = rotate("--dry-run")
    assert "0 secrets would be sealed again" in tried.stdout
    assert "Nothing was changed" in str(tried.exception)
    assert key_id(NEW) not in [row["key"] for row in json.loads(rotate("--dry-run", "--json").stdout)["by_key"]]


def test_without_a_key_nothing_is_begun(own: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CONNECTOR_ENCRYPTION_KEY")
    result = rotate()
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == "no_encryption_key"


@pytest.mark.chaos
def test_killed_in_the_middle_it_goes_on_when_run_again(own: Database) -> None:
    held = TENANTS[6]
    with own.tenant(held) as handle:  # the rotation waits for this row: that is where it is killed
        handle.exec_driver_sql("SELECT 1 FROM connectors FOR UPDATE")
        child = subprocess.Popen(
            [sys.executable, "-m", "gtmc_pipelines.cli.main", "keys", "rotate"],
            env=child_environment({}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _until(lambda: set(TENANTS[:6]) <= _done(own) and held not in _done(own))
        child.kill()
        assert child.wait(10) == -9
    shown = json.loads(rotate("--json").stdout)
    assert shown["secrets_left"] == 0
    assert _done(own) == set(TENANTS)
    for tenant in TENANTS:
        with own.tenant(tenant) as handle:
            connector = str(handle.exec_driver_sql("SELECT id FROM connectors").scalar_one())
        kept = StoredCredentials(own, KeyRing(NEW), tenant, connector).read()
        assert {value.reveal() for value in kept.values()} == {f"{CANARY}-a", f"{CANARY}-r"}


def _done(database: Database) -> set[str]:
    ring = KeyRing(NEW, [OLD])
    return {tenant for tenant in TENANTS if take_census(database, ring, tenant).left(ring) == 0}


def _until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it didn't come about within 30 seconds"
    return True


def _configs(database: Database) -> list[Any]:
    found = []
    for tenant in TENANTS:
        with database.tenant(tenant) as handle:
            found.append(handle.exec_driver_sql("SELECT config, version FROM connectors").one())
    return found


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
