"""`gtmc upgrade-data`: a plan, what it mends, what it leaves, and going on where it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.model.catalog import STREAMS, DeleteDetection
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.mappings import get_mapping, save_mapping
from gtmc_pipelines.storage.o365 import accept_dpa
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines.workflows.client import SyncClient, SyncHandle
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines.workflows.upgrades import mending
from gtmc_pipelines.workflows.upgrades.offers import former_defaults
from gtmc_pipelines.workflows.upgrades.steps import STEPS, Way
from gtmc_pipelines_tests.cli.mapping_scene import STAMP, MappingScene

pytestmark = pytest.mark.services

_LAND = """
INSERT INTO raw.{table} (tenant_id, external_id, payload, content_hash, source_updated_at)
VALUES (%(tenant)s, %(id)s, %(payload)s::jsonb, '\\x00', %(at)s)
"""
_ROW = """
INSERT INTO {table} (id, tenant_id, source, external_id{columns}) VALUES
  (gen_random_uuid()::text, %(tenant)s, %(source)s, %(id)s{values})
"""


@dataclass
class Upgrade:
    """The command for one tenant."""

    scene: MappingScene

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["upgrade-data", "--tenant", self.scene.tenant, *words])

    def asked(self, *words: str) -> dict[str, Any]:
        result = self.run(*words, "--json")
        assert result.exception is None or result.exit_code == 1, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def states(self, *words: str) -> dict[str, str]:
        """State by step."""
        return {step["step"]: step["state"] for step in self.asked(*words)["steps"]}

    def land(self, table: str, payloads: dict[str, Any]) -> None:
        with self.scene.database.tenant(self.scene.tenant) as handle:
            for name, payload in payloads.items():
                values = {"tenant": self.scene.tenant, "id": name, "payload": json.dumps(payload), "at": STAMP}
                run(handle, _LAND.format(table=table), values)

    def ids(self, statement: str) -> list[str]:
        with self.scene.database.tenant(self.scene.tenant) as handle:
            return [found["external_id"] for found in rows(handle, f"{statement} ORDER BY external_id")]

    def connected(self, kind: str) -> ConnectorRow:
        row = add_connector(self.scene.database, self.scene.tenant, kind)
        with self.scene.database.tenant(self.scene.tenant) as handle:
            set_status(handle, self.scene.tenant, row.id, ConnectorStatus.CONNECTED)
        return row


@pytest.fixture
def upgrade(working: MappingScene) -> Iterator[Upgrade]:
    return Upgrade(working)


def test_nothing_is_changed_without_being_told_and_nothing_is_done_twice(upgrade: Upgrade) -> None:
    scene = upgrade.scene
    assert upgrade.states() == {}
    scene.land(3, Email="ANA\u200b@example.com ")
    plan = upgrade.run().stdout
    assert "gtmc upgrade-data --apply" in plan
    assert scene.people() == {}
    done = upgrade.asked("--apply")
    (mended,) = done["mended"]
    assert (mended["step"], mended["counts"]["created"], mended["error"]) == ("renormalize", 3, None)
    assert (mended["before"]["people"]["live"], mended["after"]["people"]["live"]) == (0, 3)
    assert mended["after"]["people"]["nulls"]["phone"] == 3
    assert {row["email"] for row in scene.people().values()} == {"ana@example.com"}
    assert upgrade.states()["renormalize"] == "done"
    assert upgrade.asked("--apply")["mended"] == []
    with scene.database.tenant(scene.tenant) as handle:
        actions = [entry.action for entry in list_entries(handle, scene.tenant, 5)]
    assert [action for action in actions if "upgrade" in action] == ["data_upgrade.finish", "data_upgrade.start"]


def test_a_command_that_was_killed_is_gone_on_with_by_the_next(
    upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade.scene.land(2)
    started: list[SyncHandle] = []
    renormalize = SyncClient.renormalize

    def and_die(client: SyncClient, request: SyncRequest, at: Any) -> SyncHandle:
        started.append(renormalize(client, request, at))
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(SyncClient, "renormalize", and_die)
        assert isinstance(upgrade.run("--apply").exception, ConnectionError)
    assert upgrade.states()["renormalize"] == "under way"
    (mended,) = upgrade.asked("--apply")["mended"]
    assert mended["workflow_id"] == started[0].workflow_id, "it attached, and started nothing"
    assert (mended["before"]["people"]["live"], mended["after"]["people"]["live"]) == (0, 2)


def test_one_that_failed_is_named_and_begun_anew_by_the_next_run(
    upgrade: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = upgrade.scene
    scene.land(1)
    bad = [{"sourceField": "Name", "targetField": "lastName", "transform": "sideways"}]
    save_mapping(scene.database, scene.tenant, scene.row.id, Entity.PERSON, bad)
    result = upgrade.run("--apply")
    assert result.exit_code == 1
    assert "can't be used" in result.stdout
    monkeypatch.setattr(mending, "MOST_STARTS", 2)
    save_mapping(scene.database, scene.tenant, scene.row.id, Entity.PERSON, _former("salesforce", "person"))
    (mended,) = upgrade.asked("--apply")["mended"]
    assert (mended["error"], mended["counts"]["created"]) == (None, 1)


def test_a_mapping_of_their_own_is_changed_when_they_accept_and_its_rows_follow(upgrade: Upgrade) -> None:
    scene = upgrade.scene
    scene.land(1, Email="Ana@EXAMPLE.com", Title="cto")
    own = [entry for entry in _former("salesforce", "person") if entry["targetField"] != "title"]
    save_mapping(scene.database, scene.tenant, scene.row.id, Entity.PERSON, own)
    upgrade.asked("--apply")
    assert _saved(scene) == own, "nothing of theirs is changed unasked"
    offer = next(each for each in upgrade.asked()["offers"] if each["entity"] == "person")
    assert "email(value)" in json.dumps(offer["changes"])
    assert "title" not in [(change["entry"] or change["former"])["targetField"] for change in offer["changes"]]
    shown = upgrade.run().stdout
    assert f"gtmc upgrade-data --apply --accept-defaults {scene.tenant}" in shown
    done = upgrade.asked("--apply", "--accept-defaults", scene.tenant)
    assert [mended["step"] for mended in done["mended"]] == ["renormalize"]
    assert done["offers"] == []
    assert "email(value)" in json.dumps(_saved(scene))
    assert {row["title"] for row in scene.people().values()} == {None}


def test_what_was_declined_is_not_offered_again(upgrade: Upgrade) -> None:
    scene = upgrade.scene
    scene.land(1)
    own = _former("salesforce", "person")
    save_mapping(scene.database, scene.tenant, scene.row.id, Entity.PERSON, own)
    upgrade.asked("--apply", "--decline-defaults", scene.tenant)
    assert "Take them" not in upgrade.run().stdout
    assert [offer["outcome"] for offer in upgrade.asked()["offers"]] == ["declined"]
    assert _saved(scene) == own


def test_vendors_are_asked_only_when_told_and_office_365_never_without_its_agreement(upgrade: Upgrade) -> None:
    scene = upgrade.scene
    upgrade.connected("o365")
    upgrade.land("o365_email_metadata", {"email_1": {"contact": "kim@partner.com", "occurredAt": "2026-01-01T00:00Z"}})
    states = upgrade.states()
    assert set(states.values()) == {"waiting"}
    assert upgrade.asked("--apply", "--sync")["mended"] == []
    assert "agreement" in upgrade.run().stdout
    _agree(scene)
    done = upgrade.asked("--apply")
    assert {mended["step"] for mended in done["mended"]} == {"mail-of-machines", "renormalize"}
    left = {step["step"]: step["way"] for step in done["steps"] if step["state"] == "to do"}
    assert set(left.values()) == {"full sync"}
    assert "gtmc upgrade-data --apply --sync" in upgrade.run().stdout


def test_mail_of_machines_goes_and_that_of_people_stays(upgrade: Upgrade) -> None:
    upgrade.connected("o365")
    _agree(upgrade.scene)
    at = {"direction": "inbound", "occurredAt": "2026-01-01T00:00:00Z"}
    mails = {
        "email_1": {"contact": "postmaster@partner.com", "sender": "postmaster@partner.com", "to": [], "cc": [], **at},
        "email_2": {"contact": "no-reply@partner.com", "to": ["kim@partner.com"], "cc": [], **at},
        "email_3": {"contact": "kim@partner.com", "sender": "kim@partner.com", "to": [], "cc": [], **at},
    }
    upgrade.land("o365_email_metadata", mails)
    _activity(upgrade, "email_1", "o365")
    upgrade.asked("--apply")
    assert upgrade.ids("SELECT external_id FROM raw.o365_email_metadata WHERE deleted") == ["email_1"]
    assert upgrade.ids("SELECT external_id FROM activities WHERE deleted_at IS NULL") == ["email_2", "email_3"]


def test_two_forms_of_one_company_become_one(upgrade: Upgrade) -> None:
    upgrade.connected("delivrai")
    companies = {name: {"domain": name, "name": name} for name in ("münchen.example", "xn--mnchen-3ya.example", "n.a")}
    companies["alone.example."] = {"domain": "alone.example.", "name": "Alone"}
    upgrade.land("delivrai_company_enrichment", companies)
    for name in companies:
        _account(upgrade, name)
    upgrade.asked("--apply")
    live = ["alone.example", "xn--mnchen-3ya.example"]
    kept = upgrade.ids("SELECT external_id FROM raw.delivrai_company_enrichment WHERE NOT deleted")
    assert [name for name in kept if name != "n.a"] == live
    accounts = upgrade.ids("SELECT external_id FROM accounts WHERE source = 'delivrai' AND deleted_at IS NULL")
    assert [name for name in accounts if name != "n.a"] == live


def test_wrong_words_are_refused_before_anything_is_done(upgrade: Upgrade) -> None:
    tenant = upgrade.scene.tenant
    both = upgrade.run("--apply", "--accept-defaults", tenant, "--decline-defaults", tenant).exception
    unknown = upgrade.run("--accept-defaults", "nobody-at-all").exception
    kind = upgrade.run("--connector", "salesfroce").exception
    assert [getattr(error, "code", None) for error in (both, unknown, kind)] == [
        "accepted_and_declined",
        "unknown_tenant",
        "unknown_connector_type",
    ]


def _former(connector: str, entity: str) -> list[dict[str, Any]]:
    return [dict(entry) for entry in former_defaults()["c2a9a3a"][connector][entity]]


def _saved(scene: MappingScene) -> Any:
    mapping = get_mapping(scene.database, scene.tenant, scene.row.id, Entity.PERSON)
    assert mapping is not None
    return list(mapping.entries)


def _agree(scene: MappingScene) -> None:
    accept_dpa(scene.database, scene.tenant, actor="test", dpa_version="1", at=STAMP)


def _activity(upgrade: Upgrade, name: str, source: str) -> None:
    columns = ", type, channel, occurred_at"
    values = {"tenant": upgrade.scene.tenant, "id": name, "source": source}
    with upgrade.scene.database.tenant(upgrade.scene.tenant) as handle:
        run(handle, _ROW.format(table="activities", columns=columns, values=", 'email_thread', 'email', now()"), values)


def _account(upgrade: Upgrade, name: str) -> None:
    values = {"tenant": upgrade.scene.tenant, "id": name, "source": "delivrai"}
    with upgrade.scene.database.tenant(upgrade.scene.tenant) as handle:
        run(handle, _ROW.format(table="accounts", columns=", name", values=", 'x'"), values)


def test_the_types_of_all_steps_are_those_of_their_connectors() -> None:
    for step in STEPS:
        names = {stream.name for stream in connector_of(step.connector).streams}
        assert set(step.streams) <= names, step.id
    assert len({(step.connector, step.id) for step in STEPS}) == len(STEPS)
    assert {step.connector for step in STEPS} == set(ConnectorType)


def test_every_stream_with_deletions_is_read_again_once() -> None:
    for connector, streams in STREAMS.items():
        again = [step.streams for step in STEPS if step.connector is connector and step.way is Way.FULL_SYNC]
        read = {name for names in again for name in names or [stream.name for stream in streams]}
        assert read >= {stream.name for stream in streams if stream.deletes is not DeleteDetection.NONE}, connector
