"""The default mappings of Delivr.ai are valid and make of a record what the scorer expects, in both contracts."""

import json
from datetime import datetime
from typing import Any

import pytest
from msgspec import Raw

from gtmc_pipelines.connectors.delivrai import records
from gtmc_pipelines.connectors.delivrai.defaults import DEFAULT_MAPPINGS, SOURCE_FIELDS
from gtmc_pipelines.connectors.registry import CONNECTORS, login_of
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Reject

SIGNAL: dict[str, Any] = {
    "id": "sig_1",
    "personId": "p_9",
    "personEmail": "Kim@Example.test",
    "accountDomain": "WWW.Example.test",
    "contentUrl": "https://acme.test/pricing",
    "contentTopic": " pricing ",
    "occurredAt": "2026-01-15T09:30:00Z",
    "dwellTimeSeconds": 42.5,
    "sessionId": "s_3",
}
EVENT: dict[str, Any] = {
    "event_type": "page_view",
    "timestamp_ms": 1_768_469_400_000,
    "hem": "9f2c",
    "current_business_email": "kim@example.test",
    "company_domain": "example.test",
    "page_url": "https://acme.test/pricing",
    "page_title": "pricing",
}


def _row(entity: Entity, stream: str, payload: bytes) -> dict[str, Any]:
    mapping = compile_mapping(entity, DEFAULT_MAPPINGS[entity], stream)
    return dict(zip(mapping.columns, mapping.texts(payload), strict=True))


def _bytes(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()


def test_the_defaults_have_no_problem_the_validator_sees() -> None:
    streams = CONNECTORS[ConnectorType.DELIVRAI].streams
    assert set(DEFAULT_MAPPINGS) == {entity for stream in streams for entity in stream.entities} == set(SOURCE_FIELDS)
    for entity in (Entity.ACTIVITY, Entity.ACCOUNT):
        names = [stream.name for stream in streams if entity in stream.entities]
        assert validate(entity, [entry.as_dict() for entry in DEFAULT_MAPPINGS[entity]], names) == []


def test_a_signal_becomes_its_row_field_by_field() -> None:
    row = _row(Entity.INTENT_SIGNAL, "intent_signals", _bytes(SIGNAL))
    assert datetime.fromisoformat(row.pop("occurred_at")) == datetime.fromisoformat(SIGNAL["occurredAt"])
    assert row == {
        "person_id": "p_9",
        "person_email": "kim@example.test",
        "account_domain": "example.test",
        "content_url": "https://acme.test/pricing",
        "content_topic": "pricing",
        "dwell_time_seconds": "42.5",
        "session_id": "s_3",
    }


@pytest.mark.parametrize(("email", "person"), [("Kim@Example.test", "kim@example.test"), (None, "p_9"), ("", "p_9")])
def test_a_signal_is_an_activity_the_scorer_knows(email: str | None, person: str) -> None:
    row = _row(Entity.ACTIVITY, "intent_signals", _bytes({**SIGNAL, "personEmail": email}))
    assert (row["type"], row["channel"], row["person_external_id"]) == ("intent_signal", "intent", person)
    assert row["account_external_id"] == "example.test"
    assert json.loads(row["properties"]) == {
        name: SIGNAL[name] for name in ("contentTopic", "contentUrl", "dwellTimeSeconds", "accountDomain")
    }


def test_a_signal_without_a_time_is_rejected() -> None:
    with pytest.raises(Reject):
        _row(Entity.ACTIVITY, "intent_signals", _bytes({**SIGNAL, "occurredAt": None}))


@pytest.mark.parametrize(("name", "shown"), [(" Acme ", "Acme"), (None, "Acme.test"), ("", "Acme.test")])
def test_a_company_without_a_name_goes_by_its_domain(name: str | None, shown: str) -> None:
    company = {"domain": "Acme.test", "name": name, "industry": "Energy", "employeeCount": 42, "annualRevenue": 1.5}
    assert _row(Entity.ACCOUNT, "company_enrichment", _bytes(company)) == {
        "name": shown,
        "domain": "acme.test",
        "industry": "Energy",
        "employee_count": "42",
        "annual_revenue": "1.5",
    }


def test_an_event_of_the_public_api_makes_the_same_row_as_a_signal() -> None:
    record, at = records.event(_bytes(EVENT))
    assert at == datetime.fromisoformat("2026-01-15T09:30:00Z")
    row = _row(Entity.INTENT_SIGNAL, "intent_signals", record.payload)
    assert (row["person_id"], row["person_email"], row["account_domain"]) == (
        "9f2c",
        "kim@example.test",
        "example.test",
    )
    assert row["dwell_time_seconds"] is None
    assert datetime.fromisoformat(row["occurred_at"]) == at


def test_an_event_without_an_id_is_named_by_what_happened_and_not_by_its_spelling() -> None:
    one, _ = records.event(_bytes(EVENT))
    again, _ = records.event(_bytes({**dict(reversed(EVENT.items())), "new_column": 1}))
    other, _ = records.event(_bytes({**EVENT, "timestamp_ms": EVENT["timestamp_ms"] + 1}))
    assert one.external_id == again.external_id
    assert one.external_id != other.external_id


@pytest.mark.parametrize("row", [b"{}", b'{"event_type":"page_view","timestamp_ms":"soon"}'])
def test_an_event_that_nothing_tells_apart_is_rejected(row: bytes) -> None:
    with pytest.raises(Reject) as caught:
        records.event(row)
    assert caught.value.code == "missing_id"


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b"7", "not_an_object"), (b"[]", "not_an_object"), (b'{"id":[]}', "malformed_record"), (b"{}", "missing_id")],
)
def test_a_bad_record_is_put_aside_with_a_code(raw: bytes, code: str) -> None:
    found = records.sort_out([Raw(raw), Raw(_bytes(SIGNAL))], records.signal)
    assert [reject.reason_code for reject in found.rejects] == [code]
    assert [record.external_id for record, _ in found.records] == ["sig_1"]


def test_keys_are_asked_for_by_their_names() -> None:
    login = login_of(ConnectorType.DELIVRAI)
    assert getattr(login, "credential_names", ()) == ("api_key", "api_secret")
