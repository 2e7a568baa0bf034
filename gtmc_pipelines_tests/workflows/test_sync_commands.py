"""`gtmc sync` and `gtmc syncs` as a person and a script see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from gtmc_pipelines.cli.actor import cli_actor
from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines_tests.workflows.conftest import KEY, Stage
from gtmc_pipelines_tests.workflows.scripted import Gate, people

pytestmark = pytest.mark.services


@pytest.fixture
def commands(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The stage, with the environment the commands read."""
    settings = stage.settings
    for name, value in {
        "GTMC_HOME": str(settings.home),
        "GTMC_DATABASE_URL": settings.database_url,
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "GTMC_TASK_QUEUE": settings.task_queue,
        "GTMC_TEMPORAL_UI_URL": "http://127.0.0.1:8233",
        "CONNECTOR_ENCRYPTION_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, str(value))
    return stage


def _run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def test_a_sync_ends_with_its_balance_sheet(commands: Stage) -> None:
    commands.connector.script = {"contacts": [people(1234)]}
    done = _run("sync", "--tenant", commands.tenant, "--connector", "salesforce")
    assert done.exit_code == 0, done.output
    assert "full sync completed" in done.output
    assert "1,234" in done.output


def test_a_sync_as_json_says_everything_a_script_needs(commands: Stage) -> None:
    commands.connector.script = {"contacts": [people(7)]}
    done = _run("sync", "-t", commands.tenant, "-c", "salesforce", "--stream", "contacts", "--json")
    said = json.loads(done.stdout)
    assert said["outcome"] == "completed"
    assert said["totals"]["created"] == 7
    assert said["workflow_url"].startswith("http://127.0.0.1:8233/namespaces/default/workflows/sync-")
    listed = json.loads(_run("syncs", "list", "-t", commands.tenant, "--json").stdout)
    assert [each["id"] for each in listed] == [said["sync_log_id"]]
    shown = json.loads(_run("syncs", "show", said["sync_log_id"], "--json").stdout)
    assert shown["streams"]["contacts"]["created"] == 7
    assert shown["workflow_id"] == said["workflow_id"]


def test_a_failed_sync_exits_with_one_and_the_sentence(commands: Stage) -> None:
    commands.connector.script = {"leads": [Broken("bad_page", "The page can't be parsed.", next_step="Report it.")]}
    done = _run("sync", "-t", commands.tenant, "-c", "salesforce")
    assert done.exit_code == 1
    assert "These streams failed: leads" in done.stderr
    assert "The page can't be parsed." in done.stderr.replace("\n", " ")
    shown = _run("syncs", "show", json.loads(_run("syncs", "list", "-t", commands.tenant, "--json").stdout)[0]["id"])
    assert "leads" in shown.stdout


def test_an_unknown_connector_is_named_before_anything_starts(commands: Stage) -> None:
    done = _run("sync", "-t", commands.tenant, "-c", "salesfarce")
    assert isinstance(done.exception, Misuse)
    assert done.exception.code == "unknown_connector"


def test_without_waiting_the_command_ends_at_once(commands: Stage) -> None:
    done = _run("sync", "-t", commands.tenant, "-c", "salesforce", "--no-wait", "--json")
    started = json.loads(done.stdout)
    assert commands.client.outcome(started["workflow_id"]).is_success


def test_a_misspelt_stream_is_refused_with_the_near_one_and_leaves_no_failed_sync(commands: Stage) -> None:
    done = _run("sync", "-t", commands.tenant, "-c", "salesforce", "--stream", "contcts")
    assert isinstance(done.exception, Misuse)
    assert "Did you mean contacts?" in str(done.exception)
    assert json.loads(_run("syncs", "list", "-t", commands.tenant, "--json").stdout) == []


def test_a_connector_that_was_never_connected_is_not_synced(commands: Stage) -> None:
    with commands.database.tenant(commands.tenant) as handle:
        set_status(handle, commands.tenant, commands.row.id, ConnectorStatus.DISCONNECTED)
    done = _run("sync", "-t", commands.tenant, "-c", "salesforce")
    assert isinstance(done.exception, Misuse)
    assert "gtmc connectors connect" in str(done.exception)


def test_a_running_sync_is_cancelled_and_the_audit_log_names_who_asked(commands: Stage) -> None:
    gate = Gate()
    commands.connector.script = {"contacts": [people(5), gate, people(5, 5)]}
    handle = commands.start()
    assert gate.reached.wait(20)
    (listed,) = json.loads(_run("syncs", "list", "-t", commands.tenant, "--json").stdout)
    done = _run("syncs", "cancel", listed["id"])
    gate.opened.set()
    outcome = commands.client.outcome(handle)
    assert (done.exit_code, outcome.outcome) == (0, "cancelled"), done.output
    assert f"{listed['id']}: cancelled" in done.stdout
    assert commands.audited(1) == [("sync.cancel", cli_actor())]
    again = _run("syncs", "cancel", listed["id"])
    assert isinstance(again.exception, Misuse)
    assert again.exception.code == "sync_ended"


def test_the_beginning_of_an_id_shows_its_sync(commands: Stage) -> None:
    commands.sync()
    (listed,) = json.loads(_run("syncs", "list", "-t", commands.tenant, "--json").stdout)
    shown = json.loads(_run("syncs", "show", listed["id"][:8], "--json").stdout)
    assert shown["id"] == listed["id"]
