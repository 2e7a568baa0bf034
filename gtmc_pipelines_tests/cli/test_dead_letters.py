"""`gtmc dead-letters list|show` as a user sees them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.dead_letters import NewLetter, list_letters, upsert_letters
from gtmc_pipelines.storage.engine import Database

pytestmark = pytest.mark.services

runner = CliRunner()


@pytest.fixture
def letter_id(database: Database, tenant: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("GTMC_DATABASE_URL", postgres_url)
    connector = add_connector(database, tenant, "salesforce")
    letter = NewLetter("003A", "map", "missing_field", "Name is missing.", b'{"Email": "jane@example.com"}')
    with database.tenant(tenant) as connection:
        upsert_letters(connection, tenant, connector.id, "contacts", [letter])
    return list_letters(database, tenant)[0].id


def test_the_list_of_a_tenant_shows_ids_and_no_payload(letter_id: int, tenant: str) -> None:
    result = runner.invoke(app, ["dead-letters", "list", "--tenant", tenant, "--connector", "salesforce", "--json"])
    assert result.exit_code == 0
    (letter,) = json.loads(result.stdout)
    assert (letter["id"], letter["external_id"], letter["reason_code"]) == (letter_id, "003A", "missing_field")
    assert "jane" not in result.output


def test_the_list_over_all_tenants_shows_no_record_ids(letter_id: int) -> None:
    result = runner.invoke(app, ["dead-letters", "list", "--limit", "10000", "--json"])
    assert result.exit_code == 0
    assert next(found for found in json.loads(result.stdout) if found["id"] == letter_id)["external_id"] is None


def test_a_letter_is_shown_without_its_record_unless_asked_for(letter_id: int, tenant: str) -> None:
    plain = runner.invoke(app, ["dead-letters", "show", str(letter_id), "--tenant", tenant])
    assert plain.exit_code == 0
    assert "Name is missing." in plain.output
    assert "jane" not in plain.output
    full = runner.invoke(app, ["dead-letters", "show", str(letter_id), "-t", tenant, "--with-payload", "--json"])
    assert json.loads(full.stdout)["payload"] == {"Email": "jane@example.com"}


def test_a_connector_without_a_tenant_is_wrong_usage(letter_id: int) -> None:
    assert runner.invoke(app, ["dead-letters", "list", "--connector", "salesforce"]).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list", "--tenant", "nobody"], "unknown_tenant"),
        (["show", "1", "--tenant", "nobody"], "unknown_tenant"),
    ],
)
def test_an_unknown_tenant_is_one_sentence(arguments: list[str], code: str, letter_id: int) -> None:
    result = runner.invoke(app, ["dead-letters", *arguments])
    assert result.exit_code == 1
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == code
