"""`gtmc mappings show|set|reset|fields`: what an administrator sees, and what is refused and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from gtmc_pipelines.cli.actor import acting_for
from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors.bound import note_for
from gtmc_pipelines.connectors.salesforce.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.noted_addresses import NOTED
from gtmc_pipelines.settings import load_settings
from gtmc_pipelines.storage import audit, stream_fields
from gtmc_pipelines.storage.connector_states import set_options, set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.mappings import get_mapping
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.stream_fields import StreamFields
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines_tests.cli.mapping_scene import MappingScene, custom
from gtmc_pipelines_tests.connectors.salesforce_scene import Org

pytestmark = pytest.mark.services

_TOLD = "SELECT user_id, changes FROM audit_log WHERE resource = 'field_mapping' ORDER BY position"

TEN_FAULTS = """\
- {sourceField: "", targetField: firstName}
- {sourceField: LastName, targetField: lastNam}
- {sourceField: Email, targetField: email, transform: lowercse}
- {sourceField: Title, targetField: title, transform: custom}
- sourceField: Phone
  targetField: phone
  transform: custom
  customTransform: "trim(value"
- {sourceField: Company, targetField: companyName, stream: kontakts}
- {sourceField: A..B, targetField: accountExternalId}
- {sourceField: Email, targetField: email, requried: true}
- {sourceField: Name, targetField: sourceData, transform: trim}
- just words
"""


def test_defaults_are_shown_until_a_mapping_is_saved(mapped: MappingScene) -> None:
    shown = mapped.asked("show", "--entity", "account")
    assert shown == [entry.as_dict() for entry in DEFAULT_MAPPINGS[Entity.ACCOUNT]]
    everything = mapped.asked("show")
    assert [(each["entity"], each["is_default"]) for each in everything] == [
        ("account", True),
        ("person", True),
        ("opportunity", True),
        ("activity", True),
    ]
    table = mapped.done("show").stdout
    assert "account: default mapping" in table
    assert "domain(value)" in table
    assert "numeric" in table


def test_what_show_prints_set_takes_and_reset_takes_back(mapped: MappingScene) -> None:
    entries = mapped.person(title=custom("upper(value)"))
    saved = mapped.done("set", "--entity", "person", "--file", mapped.file(entries), "--by", "kim")
    assert "gtmc mappings preview" in saved.stdout
    assert "gtmc mappings apply" in saved.stdout
    assert mapped.asked("show", "--entity", "person") == entries
    assert "person: own mapping, version 1" in mapped.done("show").stdout
    assert mapped.asked("reset", "--entity", "person") == {"entity": "person", "reset": True}
    assert mapped.asked("reset", "--entity", "person") == {"entity": "person", "reset": False}
    assert mapped.asked("show", "--entity", "person") != entries


def test_a_mapping_may_be_yaml_from_standard_input(mapped: MappingScene) -> None:
    text = yaml.safe_dump(mapped.person(title={"sourceField": "Department"}))
    mapped.done("set", "--entity", "person", "--file", "-", stdin=text)
    assert {entry["sourceField"] for entry in mapped.person()} >= {"Department"}


def test_every_change_is_audited_with_who_before_and_after(mapped: MappingScene) -> None:
    first, second = mapped.person(title=custom("upper(value)")), mapped.person(title=custom("lower(value)"))
    for entries in (first, second):
        mapped.done("set", "--entity", "person", "--file", mapped.file(entries), "--by", "kim")
    mapped.done("reset", "--entity", "person", "--by", "lee")
    with mapped.database.tenant(mapped.tenant) as handle:
        found = rows(
            handle, "SELECT user_id, changes FROM audit_log WHERE resource = 'field_mapping' ORDER BY position"
        )
        assert audit.verify_chain(handle, mapped.tenant).is_sound
    assert [row["user_id"] for row in found] == [acting_for("kim"), acting_for("kim"), acting_for("lee")]
    told = [(row["changes"]["before"], row["changes"]["after"]) for row in found]
    assert told == [(None, first), (first, second), (second, None)]


def test_a_file_with_ten_faults_lists_ten_with_their_lines(mapped: MappingScene) -> None:
    error = mapped.refused("set", "--entity", "person", "--file", mapped.file(TEN_FAULTS))
    assert error.code == "bad_mapping"
    listed = error.sentence.splitlines()[1:]
    assert len(listed) >= 10
    for start in (
        "  line 1, entry 1, sourceField: ",
        "  line 2, entry 2, targetField: ",
        "  line 3, entry 3, transform: ",
        "  line 4, entry 4, customTransform: ",
        "  line 8, entry 5, customTransform: The expression can't be read at character ",
        "  line 9, entry 6, stream: ",
        "  line 10, entry 7, sourceField: ",
        "  line 11, entry 8, requried: An entry has no such key; did you mean required?",
        "  line 11, entry 8, targetField: email is filled by entry 3 already.",
        "  line 12, entry 9, transform: ",
        "  line 13, entry 10, entry: ",
    ):
        assert any(line.startswith(start) for line in listed), (start, listed)
    assert get_mapping(mapped.database, mapped.tenant, mapped.row.id, Entity.PERSON) is None


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 3_000 + "value" + ")" * 3_000,
        "value" + " + value" * 500,
        "[1, 2].map(a, [1, 2].map(b, [1, 2].map(c, a)))",
        "open('/etc/passwd')",
        "__import__('os').system('true')",
        "value.matches('(a+)+$')",
        "os.environ",
        "x" * 5_000,
        "'\u0000'",
    ],
)
def test_a_hostile_expression_is_refused_with_its_position(mapped: MappingScene, expression: str) -> None:
    entries = mapped.person(title=custom(expression))
    error = mapped.refused("set", "--entity", "person", "--file", mapped.file(entries))
    assert "entry 4, customTransform: " in error.sentence
    assert len(error.sentence) < 1_500
    assert get_mapping(mapped.database, mapped.tenant, mapped.row.id, Entity.PERSON) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"sourceField": "A",}]', "line 1, column"),
        ("- a: b\n c: d\n", "line 2, column"),
        ("just: a mapping", "holds no list"),
        ("", "holds no list"),
        ("[" * 50_000, "neither JSON nor YAML"),
    ],
)
def test_a_file_that_is_no_list_is_one_sentence(mapped: MappingScene, text: str, says: str) -> None:
    error = mapped.refused("set", "--entity", "person", "--file", mapped.file(text))
    assert error.code == "bad_mapping"
    assert says in error.sentence


def test_a_file_that_can_not_be_read_is_one_sentence(mapped: MappingScene, tmp_path: Path) -> None:
    assert mapped.refused("set", "-e", "person", "-f", str(tmp_path / "none")).code == "mapping_file_unreadable"
    (tmp_path / "latin").write_bytes(b"- \xe9\xff")
    assert mapped.refused("set", "-e", "person", "-f", str(tmp_path / "latin")).code == "mapping_file_unreadable"
    assert mapped.refused("set", "-e", "person", "-f", mapped.file("x" * 1_000_001)).code == "mapping_file_too_large"


@pytest.mark.parametrize("verb", ["show", "reset", "fields", "preview"])
def test_an_entity_the_connector_does_not_feed_is_refused_with_those_it_feeds(mapped: MappingScene, verb: str) -> None:
    error = mapped.refused(verb, "--entity", "persons")
    assert error.code == "unknown_entity"
    assert error.next_step == "Did you mean person? It feeds: account, person, opportunity, activity."


def test_fields_of_a_connector_that_is_not_connected_are_refused(mapped: MappingScene) -> None:
    error = mapped.refused("fields", "--entity", "person")
    assert error.code == "not_connected"
    assert "gtmc connectors connect" in error.next_step


@pytest.fixture
def described(mapped: MappingScene, sandbox: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> MappingScene:
    """The same connector, connected to the org `acme`."""
    org = Org.of(sandbox)
    org.ask("POST", "reset", {})
    monkeypatch.setenv("GTMC_SANDBOX_HOSTS", org.host)
    monkeypatch.setenv("SALESFORCE_CLIENT_ID", org.client_id)
    monkeypatch.setenv("SALESFORCE_CLIENT_SECRET", org.client_secret)
    monkeypatch.setenv("GTMC_CA_FILE", org.ca_file)
    settings, database, row = load_settings(), mapped.database, mapped.row
    StoredCredentials(database, key_ring(settings), mapped.tenant, row.id).save(
        {
            "access_token": Secret(org.access_token),
            "refresh_token": Secret("unused"),
            NOTED: note_for(mapped.tenant, row.id, [org.base, settings.salesforce_login_url]),
        }
    )
    set_options(database, mapped.tenant, row.id, {"instance_url": org.base}, actor="test")
    with database.tenant(mapped.tenant) as handle:
        set_status(handle, mapped.tenant, row.id, ConnectorStatus.CONNECTED)
    return mapped


def test_fields_come_live_from_the_vendor_with_the_targets_beside(described: MappingScene) -> None:
    found = described.asked("fields", "--entity", "account")
    names = {field["name"]: field for field in found["source"]}
    assert {"Name", "Website", "AnnualRevenue"} <= set(names)
    assert any(field["custom"] and name.endswith("__c") for name, field in names.items())
    targets = [f.target for f in ENTITIES[Entity.ACCOUNT].fields]
    assert [field["name"] for field in found["target"]] == [*targets, "skip"]
    table = described.done("fields", "--entity", "account").stdout
    assert "Salesforce fields" in table
    assert "annualRevenue" in table
    assert json.dumps(found).count("token") == 0


def test_calculated_fields_are_marked(described: MappingScene) -> None:
    names = {field["name"]: field for field in described.asked("fields", "--entity", "person")["source"]}
    assert names["Account_Employees__c"]["calculated"]
    assert not names["LastName"]["calculated"]
    assert "calculated" in described.done("fields", "--entity", "person").stdout


def test_a_field_no_sync_reads_is_refused_with_near_names(described: MappingScene) -> None:
    described.done(
        "set", "--entity", "opportunity", "--file", described.file(described.asked("show", "-e", "opportunity"))
    )
    entries = described.person(email={"sourceField": "Emial"}, title=custom("coalesce(record.Persona_c, value)"))
    error = described.refused("set", "--entity", "person", "--file", described.file(entries))
    assert error.code == "unread_field"
    assert "entry 3, email: no sync reads 'Emial'. Did you mean Email" in error.sentence
    assert "no sync reads 'Persona_c'. Did you mean Persona__c?" in error.sentence
    assert "Nothing was changed" in error.next_step
    assert described.asked("show")[1]["is_default"], "nothing was saved"
    own = described.person(title={"sourceField": "Rating", "stream": "contacts"})
    assert "'Rating'" in described.refused("set", "--entity", "person", "--file", described.file(own)).sentence
    described.done(
        "set", "-e", "person", "--file", described.file(described.person(title={"sourceField": "Persona__c"}))
    )


def test_a_mapping_of_a_connector_that_is_not_connected_is_saved_unchecked_and_says_so(mapped: MappingScene) -> None:
    said = mapped.done(
        "set", "-e", "person", "--file", mapped.file(mapped.person(title={"sourceField": "Any__c"}))
    ).stdout
    assert "could not be asked for, so they were not checked" in " ".join(said.split())
    assert "is not connected" in " ".join(said.split())
    known = StreamFields(frozenset({"Id", "LastName", "Any__c"}))
    for stream in ("contacts", "leads"):
        with mapped.database.tenant(mapped.tenant) as handle:
            stream_fields.save(handle, mapped.tenant, mapped.row.id, stream, known)
    file = mapped.file(mapped.person(title={"sourceField": "Any_c"}))
    assert "Any__c" in mapped.refused("set", "-e", "person", "--file", file).sentence


def test_a_fixed_entity_is_shown_and_its_mapping_is_not_to_be_changed(mapped: MappingScene) -> None:
    add_connector(mapped.database, mapped.tenant, "fathom")
    where = ("--tenant", mapped.tenant, "--connector", "fathom", "--entity", "meeting")
    shown = CliRunner().invoke(app, ["mappings", "show", *where, "--json"])
    assert "fathomMeetingId" in {entry["targetField"] for entry in json.loads(shown.stdout)}
    refused = CliRunner().invoke(app, ["mappings", "set", *where, "--file", mapped.file([])]).exception
    assert isinstance(refused, Misuse)
    assert refused.sentence == "The meeting of Fathom.video is fixed; its mapping can be shown, not changed."
    assert refused.next_step == "Yours to map: activity."
