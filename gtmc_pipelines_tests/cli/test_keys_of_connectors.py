"""`gtmc connectors add|connect` with keys: proven at the vendor first, sealed then, and never on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.key_input import read_keys
from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.model.errors import GtmcError, Misuse
from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import generate_key_hex

runner = CliRunner()
services = pytest.mark.services
TWO = KeyLogin(("api_key",), optional=("api_secret",))


@pytest.fixture(scope="module")
def vendor() -> Iterator[dict[str, Any]]:
    with running(SandboxOptions(vendors=("customerio",))) as announcement:
        yield announcement["vendors"]["customerio"]


@pytest.fixture
def keys(
    vendor: dict[str, Any], database: Database, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Keys of the workspace acme, and settings under which `gtmc` finds it."""
    base = vendor["http"]
    for name, value in {
        "GTMC_HOME": str(tmp_path),
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": generate_key_hex(),
        "CUSTOMERIO_API_URL": f"{base}/v1",
        "CUSTOMERIO_EU_API_URL": f"{base}/eu/v1",
        "CUSTOMERIO_TRACK_URL": f"{base}/api/v1",
        "GTMC_SANDBOX_HOSTS": urlsplit(base).netloc,
    }.items():
        monkeypatch.setenv(name, value)
    found: dict[str, str] = vendor["credentials"]["orgs"]["acme"]
    return found


def add(tenant: str, key: str, *more: str) -> Result:
    """Add a connector with a key from stdin."""
    arguments = ["connectors", "add", "--tenant", tenant, "--type", "customerio", "--key-file", "-", "--json", *more]
    return runner.invoke(app, arguments, input=f"{key}\n")


def connectors_of(database: Database, tenant: str) -> list[Any]:
    with database.tenant(tenant) as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT config FROM connectors").fetchall()]


@services
def test_a_proven_key_is_sealed_with_the_region_it_belongs_to(
    keys: dict[str, str], tenant: str, database: Database
) -> None:
    result = add(tenant, keys["eu_api_key"])
    assert result.exception is None, result.exception
    shown = json.loads(result.stdout)
    assert (shown["status"], shown["options"]["region"]) == ("connected", "eu")
    (config,) = connectors_of(database, tenant)
    assert str(config["secrets"]["api_key"]).startswith("gtmc2.")
    assert keys["eu_api_key"] not in str(config) + result.output
    verified = runner.invoke(app, ["connectors", "verify", "--tenant", tenant, "--connector", "customerio", "--json"])
    assert json.loads(verified.stdout)["healthy"] is True


@services
@pytest.mark.parametrize(
    ("kind", "option", "code"),
    [("wrong", (), "key_refused"), ("eu", ("--option", "region=us"), "wrong_region"), ("track", (), "track_key")],
)
def test_a_key_that_fails_adds_nothing_and_says_which_address_answered_what(
    keys: dict[str, str], tenant: str, database: Database, kind: str, option: tuple[str, ...], code: str
) -> None:
    track = f"{keys['site_id']}:{keys['track_key']}"
    key = {"wrong": "0123456789", "eu": keys["eu_api_key"], "track": track}[kind]
    result = add(tenant, key, *option)
    assert isinstance(result.exception, GtmcError)
    assert result.exception.code == code
    assert "http://127.0.0.1" in result.exception.sentence
    assert key not in str(result.exception)
    assert connectors_of(database, tenant) == []


@services
def test_a_failed_new_key_keeps_the_old_one(keys: dict[str, str], tenant: str, database: Database) -> None:
    add(tenant, keys["api_key"])
    before = connectors_of(database, tenant)
    arguments = ["connectors", "connect", "--tenant", tenant, "--connector", "customerio", "--key-file", "-"]
    assert isinstance(runner.invoke(app, arguments, input="nonsense\n").exception, GtmcError)
    assert connectors_of(database, tenant) == before
    assert add(tenant, keys["api_key"]).exception.code == "connector_exists"  # type: ignore[union-attr]


@services
def test_without_a_key_the_connector_waits_for_one(keys: dict[str, str], tenant: str) -> None:
    result = runner.invoke(app, ["connectors", "add", "--tenant", tenant, "--type", "customerio"])
    assert result.exception is None
    assert "gtmc connectors connect" in result.stdout


@services
def test_a_key_file_is_refused_where_a_login_is_needed(keys: dict[str, str], tenant: str) -> None:
    arguments = ["connectors", "add", "--tenant", tenant, "--type", "salesforce", "--key-file", "-"]
    error = runner.invoke(app, arguments, input="x\n").exception
    assert isinstance(error, Misuse)
    assert error.code == "connected_in_browser"


def test_keys_are_one_a_line_and_optional_ones_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "key.txt"
    for text, names in (("k\ns\n", {"api_key", "api_secret"}), ("k\n", {"api_key"}), (" k \r\n\n", {"api_key"})):
        file.write_text(text)
        found = read_keys(TWO, file)
        assert set(found) == names
        assert found["api_key"].reveal() == "k"


@pytest.mark.parametrize("text", ["", "\n", "k\ns\nx\n", "ké\n", "k\nsécret\n"])
def test_a_file_that_holds_no_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.txt"
    file.write_text(text)
    with pytest.raises(Misuse) as caught:
        read_keys(TWO, file)
    assert caught.value.code == "bad_key"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse) as caught:
        read_keys(TWO, tmp_path / "absent")
    assert caught.value.code == "key_file_unreadable"


def test_keys_can_be_typed_where_no_file_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def typed(prompt: str) -> str:
        asked.append(prompt)
        return "k" if len(asked) == 1 else ""

    monkeypatch.setattr("getpass.getpass", typed)
    assert set(read_keys(TWO, None)) == {"api_key"}
    assert asked == ["api key (not shown): ", "api secret (not shown; empty: none): "]
