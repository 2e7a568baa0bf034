"""The default mappings are valid, and make of a Salesforce record what the scorer expects."""

import json
from datetime import datetime
from typing import Any

import pytest

from gtmc_pipelines.connectors.registry import CONNECTORS
from gtmc_pipelines.connectors.salesforce.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.validate import validate
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import ENTITIES, Entity
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.sandbox.salesforce.org import SHAPES


def _row(entity: Entity, stream: str, record: dict[str, Any]) -> dict[str, Any]:
    mapping = compile_mapping(entity, DEFAULT_MAPPINGS[entity], stream)
    return dict(zip(mapping.columns, mapping.texts(json.dumps(record).encode()), strict=True))


def _moment(row: dict[str, Any]) -> str:
    return datetime.fromisoformat(row["occurred_at"]).isoformat()


def test_the_defaults_have_no_problem_the_validator_sees() -> None:
    streams = CONNECTORS[ConnectorType.SALESFORCE].streams
    for entity, entries in DEFAULT_MAPPINGS.items():
        names = [stream.name for stream in streams if entity in stream.entities]
        assert validate(entity, [entry.as_dict() for entry in entries], names) == []


def test_the_documented_account_mapping() -> None:
    row = _row(
        Entity.ACCOUNT,
        "accounts",
        {
            "Name": "  Acme ",
            "Website": "HTTPS://www.Acme.example/about?x=1",
            "Industry": "Energy",
            "NumberOfEmployees": 42,
            "AnnualRevenue": 1200000.5,
        },
    )
    assert row == {
        "name": "Acme",
        "domain": "acme.example",
        "industry": "Energy",
        "employee_count": "42",
        "annual_revenue": "1200000.5",
    }


def test_an_account_without_a_name_is_rejected() -> None:
    with pytest.raises(Reject):
        _row(Entity.ACCOUNT, "accounts", {"Name": " ", "Website": None})


def test_contacts_and_leads_become_people() -> None:
    common = {"FirstName": "Kim", "LastName": "Lee ", "Email": "Kim@Example.TEST", "Title": "CFO", "Phone": "+47 1"}
    contact = _row(Entity.PERSON, "contacts", common | {"AccountId": "001A"})
    assert (contact["last_name"], contact["email"], contact["account_external_id"]) == (
        "Lee",
        "kim@example.test",
        "001A",
    )
    lead = _row(Entity.PERSON, "leads", common | {"Company": "Acme", "ConvertedAccountId": None, "IsConverted": False})
    assert (lead["company_name"], lead["account_external_id"]) == ("Acme", None)


@pytest.mark.parametrize(
    ("subtype", "kind", "channel"),
    [
        ("Email", "email_sent", "email"),
        ("ListEmail", "email_sent", "email"),
        ("Call", "call", "phone"),
        ("Task", "task", "other"),
        (None, "task", "other"),
    ],
)
def test_tasks_speak_the_scorers_words(subtype: str | None, kind: str, channel: str) -> None:
    task = {
        "TaskSubtype": subtype,
        "ActivityDate": "2026-01-15",
        "CreatedDate": "2026-01-10T08:00:00.000+0000",
        "CompletedDateTime": "2026-05-03T08:00:00.000+0000",
        "IsClosed": True,
        "WhoId": "003A",
        "AccountId": "001A",
        "Status": "Completed",
        "Subject": "Secret talk",
        "CallDurationInSeconds": 300,
    }
    row = _row(Entity.ACTIVITY, "tasks", task)
    assert (row["type"], row["channel"]) == (kind, channel)
    assert _moment(row) == "2026-05-03T08:00:00+00:00"
    assert (row["person_external_id"], row["account_external_id"]) == ("003A", "001A")
    details = json.loads(row["properties"])
    assert details["status"] == "Completed"
    assert details["call_seconds"] == 300
    assert "Secret" not in row["properties"]


def test_a_task_done_before_completions_were_kept_is_dated_by_its_last_change() -> None:
    task = {"ActivityDate": "2026-04-01", "CreatedDate": "2026-01-10T08:00:00.000+0000", "IsClosed": True}
    changed = task | {"LastModifiedDate": "2026-05-03T08:00:00.000+0000"}
    assert _moment(_row(Entity.ACTIVITY, "tasks", changed)) == "2026-05-03T08:00:00+00:00"
    assert _moment(_row(Entity.ACTIVITY, "tasks", task)) == "2026-01-10T08:00:00+00:00"


@pytest.mark.parametrize(
    ("stream", "record", "is_left_out"),
    [
        ("tasks", {"IsClosed": False, "Status": "Not Started"}, True),
        ("tasks", {"IsClosed": None, "Status": "Not Started"}, True),
        ("tasks", {"IsClosed": True, "Status": "Called back"}, False),
        ("tasks", {"Status": "Completed"}, False),
        ("tasks", {"IsClosed": True, "IsRecurrence": True}, True),
        ("events", {}, False),
        ("events", {"IsChild": False, "GroupEventType": "1"}, False),
        ("events", {"IsChild": True, "GroupEventType": "1"}, True),
        ("events", {"IsChild": False, "GroupEventType": "2"}, True),
        ("events", {"IsChild": False, "GroupEventType": "3"}, True),
        ("events", {"IsChild": False, "IsRecurrence": True}, True),
        ("events", {"IsChild": False, "RecurrenceActivityId": "00U1"}, False),
    ],
)
def test_one_real_activity_is_one_row_and_what_is_open_is_none(
    stream: str, record: dict[str, Any], is_left_out: bool
) -> None:
    mapping = compile_mapping(Entity.ACTIVITY, DEFAULT_MAPPINGS[Entity.ACTIVITY], stream)
    created = {"CreatedDate": "2026-01-10T08:00:00.000+0000"}
    texts, failed = mapping.read(json.dumps(created | record).encode())
    assert (texts is None, tuple(failed)) == (is_left_out, ())


def test_a_person_account_is_its_contact_and_no_company() -> None:
    mapping = compile_mapping(Entity.ACCOUNT, DEFAULT_MAPPINGS[Entity.ACCOUNT], "accounts")
    assert mapping.read(b'{"Name": "Kim Berg", "IsPersonAccount": true}') == (None, ())
    assert mapping.read(b'{"Name": "Acme", "IsPersonAccount": false}')[0] is not None
    contact = _row(Entity.PERSON, "contacts", {"LastName": "Berg", "IsPersonAccount": True, "AccountId": "001A"})
    assert contact["last_name"] == "Berg"


def test_a_converted_lead_says_what_it_has_become() -> None:
    lead = {"LastName": "Berg", "ConvertedContactId": "003A", "IsConverted": True}
    assert _row(Entity.PERSON, "leads", lead)["converted_to"] == "003A"
    assert _row(Entity.PERSON, "leads", lead | {"IsConverted": False})["converted_to"] is None


def test_events_are_meetings_that_were_attended() -> None:
    event = {
        "StartDateTime": "2026-01-15T09:30:00.000+0000",
        "CreatedDate": "2026-01-10T08:00:00.000+0000",
        "DurationInMinutes": 30,
        "Subject": "Secret",
        "Location": "Secret",
    }
    row = _row(Entity.ACTIVITY, "events", event)
    assert (row["type"], row["channel"]) == ("meeting_attend", "meetings")
    assert _moment(row) == "2026-01-15T09:30:00+00:00"
    assert json.loads(row["properties"])["minutes"] == 30
    assert "Secret" not in row["properties"]


def test_money_and_dates_of_opportunities_are_exact() -> None:
    record = (
        b'{"Name":"Deal","StageName":"Closed Won","Amount":12345678901234.10,"CloseDate":"2026-03-31","IsWon":true}'
    )
    mapping = compile_mapping(Entity.OPPORTUNITY, DEFAULT_MAPPINGS[Entity.OPPORTUNITY], "opportunities")
    row = dict(zip(mapping.columns, mapping.texts(record), strict=True))
    assert row["amount"] in {"12345678901234.10", "12345678901234.1"}
    assert (row["close_date"], row["is_won"]) == ("2026-03-31", "true")


def test_every_mapped_field_is_one_an_org_has() -> None:
    for stream in CONNECTORS[ConnectorType.SALESFORCE].streams:
        for entity in stream.entities:
            for entry in DEFAULT_MAPPINGS[entity]:
                if entry.stream in (None, stream.name):
                    assert entry.source_field in _standard_fields(stream.name)
                    assert ENTITIES[entity].target(entry.target_field) is not None


def _standard_fields(stream: str) -> set[str]:
    shape = next(shape for shape in SHAPES if shape.name == OBJECTS[stream])
    of_several_currencies = {"CurrencyIsoCode"}
    return {field.name for field in shape.fields if not field.custom} | of_several_currencies
