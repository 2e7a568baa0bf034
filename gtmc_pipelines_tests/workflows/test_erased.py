"""An erased person: nothing is left, nobody else is touched, and no sync brings them back."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, make_url
from typer.testing import CliRunner

from gtmc_pipelines.cli.main import app
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.person_erasure import erase_person
from gtmc_pipelines.storage.person_search import find_person, identify
from gtmc_pipelines.storage.statements import rows, run
from gtmc_pipelines.storage.tenant_removal import remove_tenant
from gtmc_pipelines.storage.tenants import add_tenant, require_tenant
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines_tests.workflows.conftest import KEY, Stage
from gtmc_pipelines_tests.workflows.scripted import STAMP

pytestmark = pytest.mark.services

ANN, ANN_ID = "ann.lee@people.test", "003ANN000000001"


def record(key: str, **values: Any) -> SourceRecord:
    return SourceRecord(key, json.dumps(values).encode(), STAMP)


def pages() -> dict[str, list[Any]]:
    """Ann, two people beside her, and an account that mentions her."""
    return {
        "accounts": [[record("001A", Name=f"Shop of {ANN}"), record("001B", Name="Bakery")]],
        "contacts": [
            [
                record(ANN_ID, Name="Lee", Email="Ann.Lee@people.test"),
                record("003BOB", Name="Bob", Email="bob@people.test", Note=f"see\n{ANN}", ReportsToId=ANN_ID),
                record("003JO", Name="Jo", Email=f"jo{ANN}"),
            ]
        ],
    }


@pytest.fixture
def synced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Everything read once, and `gtmc` pointed at it."""
    stage.connector.script = pages()
    assert stage.sync(SyncMode.FULL).is_success
    monkeypatch.setenv("GTMC_HOME", str(stage.settings.home))
    monkeypatch.setenv("GTMC_DATABASE_URL", str(stage.settings.required("database_url")))
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", KEY)
    return stage


def gtmc(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exception is None, (result.exception, result.output)
    return json.loads(result.output)


def found(stage: Stage) -> Any:
    return gtmc("people", "find", "-t", stage.tenant, "--email", ANN, "--external-id", f"salesforce:{ANN_ID}")["found"]


def select(stage: Stage, statement: Any) -> list[dict[str, Any]]:
    with stage.database.tenant(stage.tenant) as handle:
        return rows(handle, statement)


def test_an_erased_person_is_gone_and_three_full_syncs_do_not_bring_them_back(synced: Stage) -> None:
    assert found(synced) == {
        "accounts.name": 1,
        "people.email": 1,
        "people.external_id": 1,
        "raw.salesforce_accounts.payload": 1,
        "raw.salesforce_contacts.external_id": 1,
        "raw.salesforce_contacts.payload": 2,
        "stream_fields.sample": 1,
    }
    told = gtmc("people", "erase", "-t", synced.tenant, "--email", f" {ANN.upper()} ", "--yes")
    assert told["left"] == {}
    assert told["erased"]["people"] == 1
    assert found(synced) == {}
    for _ in range(3):
        synced.connector.script = pages()
        outcome = synced.sync(SyncMode.FULL)
        assert outcome.is_success
        assert outcome.counts["contacts"]["skipped"] == 1
        assert found(synced) == {}
    assert synced.ids() == ["003BOB", "003JO"]
    assert {each["email"] for each in select(synced, "SELECT email FROM people")} == {"bob@people.test", f"jo{ANN}"}
    assert {each["name"] for each in select(synced, "SELECT name FROM accounts")} == {"Shop of [erased]", "Bakery"}


def test_addresses_that_differ_only_by_a_tag_are_told_and_not_erased(synced: Stage) -> None:
    news, hr = "Ann.Lee+News@people.test", "ann.lee+hr@people.test"
    others = f"joann.lee+a@people.test ann.lee+b@people.test.example ann.lee+c@other.test {ANN}"
    synced.connector.script = {
        "accounts": [
            [
                record("001C", Name="ann.lee%2Bnews@people.test or q=ann.lee%2Bnews%40people.test"),
                record("001D", Name=others),
            ]
        ],
        "contacts": [
            [record("003TAG", Name="Lee", Email=news, Note=f"{hr},{news} u=ann.lee%2Bhr%40people.test\nor {hr}")]
        ],
    }
    assert synced.sync().is_success
    here = ("-t", synced.tenant, "--email", ANN)
    tagged = {"+hr": 1, "+news": 4}  # raw contact; people, raw contact, account, raw account
    assert gtmc("people", "find", *here)["tagged"] == tagged
    shown = CliRunner().invoke(app, ["people", "erase", *here, "--yes"]).output
    assert "Proof: 0 mentions left" in shown
    assert "Not erased: 5 mentions of addresses that differ only by a tag: +hr (1), +news (4). Name each" in shown
    assert "ann.lee" not in shown.lower()
    assert gtmc("people", "find", "-t", synced.tenant, "--email", hr)["tagged"] == {"+news": 4}
    for address in (news, hr):
        assert gtmc("people", "erase", "-t", synced.tenant, "--email", address, "--yes")["left"] == {}
    assert gtmc("people", "find", *here) == {"tenant": synced.tenant, "found": {}, "tagged": {}}


def test_who_is_named_with_a_tag_is_told_of_the_address_without_one(synced: Stage) -> None:
    told = gtmc("people", "find", "-t", synced.tenant, "--email", "ann.lee+x@people.test")
    assert told["found"] == {}
    assert told["tagged"] == {"": 5}  # accounts, people, raw account, two raw contacts
    shown = CliRunner().invoke(app, ["people", "find", "-t", synced.tenant, "--email", "ann.lee+x@people.test"]).output
    assert "differ only by a tag: without a tag (5)" in shown


def test_an_erased_person_does_not_come_back_under_another_id_or_with_another_address(synced: Stage) -> None:
    gtmc("people", "erase", "-t", synced.tenant, "--email", ANN, "--yes")
    synced.connector.script = {
        "contacts": [[record("003NEW", Name="Lee", Email=ANN), record(ANN_ID, Name="Lee", Email="new@people.test")]]
    }
    synced.sync(SyncMode.FULL)
    assert synced.ids() == ["003BOB", "003JO"]


def test_the_audit_log_keeps_the_fact_and_not_the_person(synced: Stage) -> None:
    gtmc("people", "erase", "-t", synced.tenant, "--email", ANN, "--yes")
    (entry,) = select(synced, "SELECT * FROM audit_log WHERE action = 'person.erase'")
    assert entry["changes"]["rows"]["people"] == 1
    assert ANN not in str(entry)
    assert ANN_ID not in str(entry)


def test_other_tenants_keep_the_same_person(synced: Stage) -> None:
    other = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(synced.database, other)
    with synced.database.tenant(other) as handle:
        run(
            handle,
            "INSERT INTO people (id, tenant_id, source, external_id, email)"
            " VALUES (%(id)s, %(t)s, 'salesforce', 'x', %(e)s)",
            {"id": other, "t": other, "e": ANN},
        )
    gtmc("people", "erase", "-t", synced.tenant, "--email", ANN, "--yes")
    assert gtmc("people", "find", "-t", other, "--email", ANN)["found"]["people.email"] == 1


def test_an_erasure_stopped_anywhere_is_finished_by_the_next(synced: Stage) -> None:
    with synced.database.tenant(synced.tenant) as handle:
        person = identify(handle, synced.tenant, ANN, {})

    class Stopped(Exception):
        pass

    def stop(table: str, rows: int) -> None:
        raise Stopped

    ring = key_ring(synced.settings)
    with pytest.raises(Stopped):
        erase_person(synced.database, ring, synced.tenant, person, actor="test", progress=stop)
    assert find_person(synced.database, synced.tenant, person) != {}
    gtmc("people", "erase", "-t", synced.tenant, "--email", ANN, "--yes")
    assert find_person(synced.database, synced.tenant, person) == {}


def test_dead_letters_lose_the_person_even_where_they_were_no_json(synced: Stage) -> None:
    with synced.database.tenant(synced.tenant) as handle:
        for key, payload in {
            "1": '{"a": "b"}',
            "2": f'{{"a": "{ANN}"}}',
            "3": json.dumps({"base64": _base64()}),
        }.items():
            run(
                handle,
                "INSERT INTO dead_letters (tenant_id, connector_id, stream, external_id, stage, reason_code, payload)"
                " VALUES (%(t)s, %(c)s, 'contacts', %(k)s, 'map', 'x', %(p)s::jsonb)",
                {"t": synced.tenant, "c": synced.row.id, "k": key, "p": payload},
            )
    assert found(synced)["dead_letters.payload"] == 2
    gtmc("people", "erase", "-t", synced.tenant, "--email", ANN, "--yes")
    assert [each["external_id"] for each in select(synced, "SELECT external_id FROM dead_letters")] == ["1"]


def test_nothing_is_erased_while_a_sync_runs(synced: Stage) -> None:
    with synced.database.tenant(synced.tenant) as handle:
        leases.take(handle, synced.tenant, synced.row.id, "run", "sync-of-salesforce")
    result = CliRunner().invoke(app, ["people", "erase", "-t", synced.tenant, "--email", ANN, "--yes"])
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == "sync_running"
    assert "sync-of-salesforce" in result.exception.sentence
    assert len(synced.ids()) == 3


@pytest.mark.parametrize("email", ["", "ann", "ann@", "%@people.test"])
def test_what_is_no_address_is_refused_without_repeating_it(synced: Stage, email: str) -> None:
    result = CliRunner().invoke(app, ["people", "erase", "-t", synced.tenant, "--email", email, "--yes"])
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == "bad_address"


def test_without_the_tenants_id_typed_nothing_happens(synced: Stage) -> None:
    for command in (["people", "erase", "-t", synced.tenant, "--email", ANN], ["tenants", "remove", synced.tenant]):
        result = CliRunner().invoke(app, command, input="yes\n")
        assert isinstance(result.exception, Misuse)
        assert result.exception.code == "not_confirmed"
    assert len(synced.ids()) == 3


def test_a_removed_tenant_leaves_one_row_of_its_log_and_other_tenants_alone(synced: Stage, database: Database) -> None:
    other = f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, other)
    add_connector(database, other, "salesforce")
    result = CliRunner().invoke(app, ["tenants", "remove", synced.tenant], input=f"{synced.tenant}\n")
    assert result.exception is None, (result.exception, result.output)
    left = {}
    with database.tenant(synced.tenant) as handle:
        for table in rows(
            handle,
            "SELECT table_schema || '.' || table_name AS name FROM information_schema.columns"
            " WHERE column_name = 'tenant_id' AND table_name <> 'accounts_enriched'",
        ):
            (count,) = handle.exec_driver_sql(f"SELECT count(*) FROM {table['name']}").one()
            left[table["name"]] = count
        (entry,) = rows(handle, "SELECT action FROM audit_log")
    assert {name: count for name, count in left.items() if count} == {"public.audit_log": 1, "public.audit_heads": 1}
    assert entry["action"] == "tenant.remove"
    assert "raw.salesforce_contacts" in left
    with database.tenant(other) as handle:
        assert len(rows(handle, "SELECT id FROM connectors")) == 1
    again = CliRunner().invoke(app, ["tenants", "remove", synced.tenant, "--yes"])
    assert isinstance(again.exception, Misuse)
    assert again.exception.code == "unknown_tenant"


def test_a_tenant_is_not_removed_while_a_sync_runs(synced: Stage) -> None:
    with synced.database.tenant(synced.tenant) as handle:
        leases.take(handle, synced.tenant, synced.row.id, "run", "sync-of-salesforce")
    result = CliRunner().invoke(app, ["tenants", "remove", synced.tenant, "--yes"])
    assert isinstance(result.exception, Misuse)
    assert result.exception.code == "sync_running"
    assert len(synced.ids()) == 3


def test_a_login_that_may_not_act_as_the_eraser_is_told_so_and_nothing_is_removed(
    postgres_url: str, database: Database, tenant: str
) -> None:
    login = f"login_{uuid.uuid4().hex[:10]}"
    owner, plain = make_url(postgres_url), make_url(postgres_url).set(username=login, password=login)
    with psycopg.connect(_libpq(owner), autocommit=True) as superuser:
        superuser.execute(f"CREATE ROLE {login} LOGIN PASSWORD '{login}'")
        superuser.execute(f"GRANT gtmc_app, gtmc_fleet, gtmc_operator TO {login}")
        poor = Database(plain.render_as_string(hide_password=False))
        try:
            with pytest.raises(Misuse, match="gtmc_eraser") as raised:
                remove_tenant(poor, tenant, actor="test")
        finally:
            poor.close()
            superuser.execute(f"REVOKE gtmc_app, gtmc_fleet, gtmc_operator FROM {login}; DROP ROLE {login}")
    assert raised.value.code == "eraser_not_granted"
    assert require_tenant(database, tenant).id == tenant


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _base64() -> str:
    return base64.b64encode(f'\x00broken {{"Email": "{ANN}"'.encode()).decode()
