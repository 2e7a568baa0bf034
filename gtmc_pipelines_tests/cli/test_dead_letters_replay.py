"""`gtmc dead-letters replay`: what it would do, what it did, and what it tells about the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.dead_letters import NewLetter, list_letters, upsert_letters
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene

pytestmark = pytest.mark.services

STRICT = {"sourceField": "Badge__c", "transform": "none", "required": True}


def run(scene: MappingScene, *words: str) -> Result:
    """A command about this tenant's letters, whatever comes of it."""
    return CliRunner().invoke(app, ["dead-letters", *words, "--tenant", scene.tenant])


def done(scene: MappingScene, *words: str) -> Result:
    result = run(scene, *words)
    assert result.exception is None, (result.exception, result.output)
    return result


def asked(scene: MappingScene, *words: str) -> Any:
    return json.loads(done(scene, *words, "--json").stdout)


def rejected(scene: MappingScene, count: int) -> None:
    """Raw contacts that a mapping with a required field nobody fills has refused."""
    scene.land(count, FirstName="Kimberley")
    scene.done("set", "--entity", "person", "--file", scene.file(scene.person(title=STRICT)))
    assert scene.asked("apply")["totals"]["failed"] == count


def keep(scene: MappingScene, letter: NewLetter, tenant: str = "") -> int:
    """A letter of its own; its id."""
    tenant = tenant or scene.tenant
    with scene.database.tenant(tenant) as handle:
        connector = scene.row.id if tenant == scene.tenant else add_connector(scene.database, tenant, "salesforce").id
        upsert_letters(handle, tenant, connector, "contacts", [letter])
    return next(each.id for each in list_letters(scene.database, tenant) if each.external_id == letter.external_id)


def test_a_corrected_mapping_is_told_by_the_dry_run_and_carried_out_by_the_replay(working: MappingScene) -> None:
    rejected(working, 3)
    listed = done(working, "list").stdout
    assert f"gtmc dead-letters replay --tenant {working.tenant} --dry-run" in listed
    would = asked(working, "replay", "--dry-run")
    assert [(each["stream"], each["tried"], each["written"], each["why"]) for each in would] == [
        ("contacts", 3, 0, "3 required_missing Badge__c")
    ]
    working.done("reset", "--entity", "person")
    assert "3" in done(working, "replay", "--dry-run").stdout
    assert working.people() == {}, "nothing was written yet"
    (told,) = asked(working, "replay", "--connector", "salesforce")
    assert (told["outcome"], told["totals"]["created"], told["failed_again"]) == ("completed", 3, [])
    assert len(working.people()) == 3
    assert asked(working, "list") == []
    assert done(working, "list", "--all").stdout.count("written") == 3
    nothing = done(working, "replay")
    assert "Dead letters to replay: none" in nothing.stdout
    assert asked(working, "replay") == []


def test_what_fails_again_is_told_with_its_reason_and_counted_up(working: MappingScene) -> None:
    rejected(working, 2)
    result = done(working, "replay")
    assert f"{working.tenant} salesforce: replay completed" in result.stdout
    assert "2 of contacts failed again: required_missing field Badge__c" in result.stdout
    assert f"gtmc mappings show --tenant {working.tenant} --connector salesforce" in result.stdout
    assert "Kimberley" not in result.output
    assert {each["attempts"] for each in asked(working, "list")} == {2}


def test_letters_of_several_tenants_are_replayed_by_their_ids(working: MappingScene) -> None:
    other = f"{working.tenant}-other"
    add_tenant(working.database, other)
    ours, theirs = (
        keep(working, NewLetter(key, "write", "batch_failed", "", b'{"LastName": "Lee"}'), tenant)
        for key, tenant in (("003A", ""), ("003B", other))
    )
    result = CliRunner().invoke(app, ["dead-letters", "replay", "--id", str(ours), "--id", str(theirs), "--json"])
    assert {(each["tenant"], each["totals"]["created"]) for each in json.loads(result.stdout)} == {
        (working.tenant, 1),
        (other, 1),
    }
    assert list(working.people()) == ["003A"]


def test_each_letter_says_what_a_replay_would_do(mapped: MappingScene) -> None:
    mapped.land(1)
    letters = {
        "its raw row is mapped again": NewLetter("00300000", "map", "bad_type", ""),
        "the record kept here is mapped and written": NewLetter("003B", "write", "batch_failed", "", b"{}"),
        "no table can hold its id": NewLetter("x…1", "write", "unstorable_id", "", b"{}"),
        "nothing of the record is held": NewLetter("?1:0", "read", "missing_id", ""),
    }
    for prospect, letter in letters.items():
        shown = asked(mapped, "show", str(keep(mapped, letter)))
        assert prospect in shown["replay"]
    assert "gtmc sync --full" in shown["replay"]
    assert "2 can't be replayed" in done(mapped, "replay", "--dry-run").stdout


def test_without_the_agreement_a_dry_run_maps_nothing_of_a_mailbox(mapped: MappingScene) -> None:
    mailbox = add_connector(mapped.database, mapped.tenant, "o365")
    with mapped.database.tenant(mapped.tenant) as handle:
        kept = NewLetter("M1", "write", "batch_failed", "", b"{}")
        upsert_letters(handle, mapped.tenant, mailbox.id, "email_metadata", [kept])
    (would,) = asked(mapped, "replay", "--dry-run", "--connector", "o365")
    assert (would["tried"], would["written"]) == (0, 0)
    assert "gtmc o365 accept-dpa" in would["why"]


def test_a_replay_that_is_not_waited_for_says_that_it_gives_way(working: MappingScene) -> None:
    rejected(working, 1)
    with working.database.tenant(working.tenant) as handle:
        leases.take(handle, working.tenant, working.row.id, "run", "sync-of-somebody")
    result = done(working, "replay", "--no-wait")
    assert f"started replay-{working.tenant}" in result.stdout
    assert "sync-of-somebody is running: the replay gives way to it" in result.stdout


@pytest.mark.parametrize(
    ("words", "code", "next_step"),
    [
        (("--stream", "contact"), "unknown_stream", "Did you mean contacts?"),
        (("--id", "999999999"), "no_open_letter", "gtmc dead-letters list"),
        (("--connector", "hubspot"), "unknown_connector", "It has: salesforce"),
    ],
)
def test_a_choice_that_names_nothing_is_one_sentence(
    mapped: MappingScene, words: tuple[str, ...], code: str, next_step: str
) -> None:
    error = run(mapped, "replay", *words).exception
    assert isinstance(error, Misuse)
    assert error.code == code
    assert next_step in error.next_step


def test_a_connector_type_may_be_named_without_a_tenant(mapped: MappingScene) -> None:
    result = CliRunner().invoke(app, ["dead-letters", "replay", "--connector", "sales"])
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == "unknown_connector_type"


def test_the_help_says_that_the_vendor_is_not_called(mapped: MappingScene) -> None:
    text = " ".join(CliRunner().invoke(app, ["dead-letters", "replay", "--help"]).stdout.split())
    assert "The vendor is not called" in text
    assert "--dry-run" in text
