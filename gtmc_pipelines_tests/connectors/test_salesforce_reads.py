"""What is read of the imitated Salesforce is what the org holds, whichever way and however often it is resumed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.connectors.registry import connector_of
from gtmc_pipelines.connectors.salesforce.api import open_session
from gtmc_pipelines.connectors.salesforce.connector import SalesforceConnector
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, read_stream
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import ReadFrom
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.salesforce_scene import NotedCredentials, Org, assert_is_truth, pages_of
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of, since, soon

pytestmark = pytest.mark.services

BULK: dict[str, Any] = {"bulk_threshold": 0, "bulk_page_records": 300}
REST: dict[str, Any] = {"page_records": 200}


@pytest.mark.parametrize("stream", list(OBJECTS))
@pytest.mark.parametrize("way", [REST, BULK], ids=["rest", "bulk"])
def test_a_full_read_is_the_truth(org: Org, stream: str, way: dict[str, Any]) -> None:
    session = org.session(**way)
    records = records_of(pages_of(session, stream, full()))
    assert_is_truth(records, org.truth(OBJECTS[stream]), stream)
    bulk_calls = org.requests("/jobs/query")
    assert bool(bulk_calls) is (way is BULK)


@pytest.mark.parametrize("stream", list(OBJECTS))
def test_rest_and_bulk_give_the_same_bytes(org: Org, stream: str) -> None:
    until = soon()
    by_rest = records_of(pages_of(org.session(**REST), stream, full(until=until)))
    by_bulk = records_of(pages_of(org.session(**BULK), stream, full(until=until)))
    assert sorted(by_rest, key=lambda record: record.external_id) == sorted(
        by_bulk, key=lambda record: record.external_id
    )


def test_the_threshold_decides_the_way(org: Org) -> None:
    count = org.size("Account")
    pages_of(org.session(bulk_threshold=count), "accounts", full())
    assert not org.requests("/jobs/query")
    pages_of(org.session(bulk_threshold=count - 1), "accounts", full())
    assert org.requests("/jobs/query")


def test_it_works_over_https_with_the_sandbox_ca(org: Org, sandbox: dict[str, Any]) -> None:
    secure = Org.of(sandbox, scheme="https")
    with pytest.raises(Broken) as caught:
        open_session(
            NotedCredentials({"access_token": Secret(org.access_token)}), replace(secure.settings(), ca_file=None)
        ).limits()
    assert caught.value.code == "certificate_refused"
    records = records_of(pages_of(secure.session(), "accounts", full()))
    assert_is_truth(records, secure.truth("Account"), "accounts")


def test_an_incremental_read_gives_what_changed_and_what_went(org: Org) -> None:
    before = datetime.now(UTC)
    changed = org.mutate("Contact", "update", count=7)
    gone = org.mutate("Contact", "delete", count=3)
    records = records_of(pages_of(org.session(), "contacts", since(before)))
    assert {record.external_id for record in records} == {*changed, *gone}
    assert {record.external_id for record in records if record.is_deleted} == set(gone)
    org.mutate("Contact", "undelete", ids=gone)
    back = records_of(pages_of(org.session(), "contacts", since(before)))
    assert {record.external_id for record in back} == {*changed, *gone}
    assert not any(record.is_deleted for record in back)


def test_records_that_commit_late_are_found_inside_the_overlap(org: Org) -> None:
    watermark = datetime.now(UTC)
    late = org.mutate("Lead", "update", count=5, stamp=(watermark - timedelta(minutes=9, seconds=50)).isoformat())
    too_late = org.mutate("Lead", "create", count=1, stamp=(watermark - timedelta(minutes=11)).isoformat())
    found = {record.external_id for record in records_of(pages_of(org.session(), "leads", since(watermark)))}
    assert set(late) <= found
    assert not set(too_late) & found


def test_the_window_is_closed_at_its_upper_bound(org: Org) -> None:
    until = datetime.now(UTC) - timedelta(minutes=1)
    org.mutate("Account", "update", count=4)
    (page,) = pages_of(org.session(), "accounts", since(until, until=until))
    assert page.records == []
    assert page.watermark is not None
    assert until - timedelta(milliseconds=1) < datetime.fromisoformat(page.watermark) <= until


def test_the_watermark_leads_to_exactly_the_next_changes(org: Org) -> None:
    session = org.session()
    watermark = pages_of(session, "accounts", full(until=datetime.now(UTC)))[-1].watermark
    changed = org.mutate("Account", "update", count=6)
    start = ReadFrom(full().mode.INCREMENTAL, soon(), watermark)
    assert {record.external_id for record in records_of(pages_of(session, "accounts", start))} == set(changed)


@pytest.mark.parametrize("way", [REST, BULK], ids=["rest", "bulk"])
def test_from_every_checkpoint_the_rest_is_read_exactly(org: Org, way: dict[str, Any]) -> None:
    until = soon()
    pages = pages_of(org.session(**way), "leads", full(until=until))
    assert len(pages) >= 4
    for position, page in enumerate(pages[:-1]):
        resumed = pages_of(org.session(**way), "leads", full(page.checkpoint, until))
        assert records_of(resumed) == records_of(pages[position + 1 :])


def test_from_every_position_the_rest_is_read_exactly_when_the_cursor_is_gone(org: Org) -> None:
    stamp = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    org.mutate("Lead", "update", count=700, stamp=stamp)  # equal stamps across page boundaries
    until = soon()
    pages = pages_of(org.session(**REST), "leads", full(until=until))
    for position, page in enumerate(pages[:-1]):
        org.break_("locator_expired", count=1)
        resumed = pages_of(org.session(**REST), "leads", full(page.checkpoint, until))
        assert records_of(resumed) == records_of(pages[position + 1 :])


def test_a_bulk_job_that_is_gone_is_started_again(org: Org) -> None:
    until = soon()
    session = org.session(**BULK)
    first = next(read_stream(session, "leads", full(until=until)))
    assert first.checkpoint is not None
    lost = json.dumps({**json.loads(first.checkpoint), "job_id": "750R0000000zlh9IAA"})
    records = records_of(pages_of(org.session(**BULK), "leads", full(lost, until)))
    assert_is_truth(records, org.truth("Lead"), "leads")


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "bulk_job_fails"},
        {"fault": "bulk_unsupported"},
        {"fault": "bulk_unsupported", "code": "API_ERROR", "message": "API does not support query"},
        {"fault": "bulk_unsupported", "code": "API_ERROR", "message": "Selecting compound data not supported"},
        {"fault": "bulk_unsupported", "code": "FUNCTIONALITY_NOT_ENABLED"},
        {"fault": "bulk_unsupported", "code": "FeatureNotEnabled"},
        {"fault": "bulk_unsupported", "code": "InvalidUser"},
        {"fault": "bulk_unsupported", "code": "INSUFFICIENT_ACCESS", "status": 403},
        {"fault": "bulk_unsupported", "code": "SOMETHING_NEW", "status": 403},
        {"fault": "bulk_unsupported", "code": "SOMETHING_NEW"},
    ],
    ids=lambda fault: str(fault.get("code", fault["fault"])),
)
def test_where_bulk_does_not_work_soql_does(org: Org, fault: dict[str, Any]) -> None:
    org.break_(**fault)
    records = records_of(pages_of(org.session(**BULK), "opportunities", full()))
    assert_is_truth(records, org.truth("Opportunity"), "opportunities")
    assert org.requests("/queryAll")


def test_a_slow_bulk_job_is_polled_with_growing_waits(org: Org) -> None:
    org.break_("bulk_polls", polls=4)
    pages_of(org.session(**BULK), "accounts", full())
    assert len(org.waits) == 4
    assert org.waits[0] < 0.5
    assert org.waits == sorted(org.waits)


def test_a_custom_field_is_read_and_a_hidden_one_is_left_out(org: Org) -> None:
    connector = SalesforceConnector()
    custom = [f.name for f in connector.describe_fields(org.session(), Entity.ACCOUNT) if f.is_custom]
    org.break_("missing_field", field="Industry")
    records = records_of(pages_of(org.session(), "accounts", full()))
    fields = json.loads(records[0].payload)
    assert "Industry" not in fields
    assert set(custom) <= set(fields)
    assert not any(isinstance(value, dict) for value in fields.values())


def test_a_field_that_describe_promises_and_the_query_denies_is_one_sentence(org: Org) -> None:
    org.break_("describe_extra_field", field="Ghost__c")
    with pytest.raises(Exception, match=r"Ghost__c|isn't there") as caught:
        pages_of(org.session(), "accounts", full())
    assert getattr(caught.value, "code", "") == "invalid_field"


def test_a_field_removed_after_it_was_described_costs_one_more_description(org: Org) -> None:
    org.break_("describe_extra_field", field="Ghost__c", count=1)
    records = records_of(pages_of(org.session(), "accounts", full()))
    assert_is_truth(records, org.truth("Account"), "accounts")
    assert len(org.requests("/sobjects/Account/describe")) == 2


def test_the_connector_keeps_its_contract(org: Org) -> None:
    connector = connector_of(ConnectorType.SALESFORCE)
    session = org.session()
    health = connector.health_check(session)
    assert health.is_healthy
    assert health.facts["api_calls_a_day"].isdigit()
    assert [one.key for one in connector.slices(session, connector.streams[0])] == [""]
    person = {field.name: field for field in connector.describe_fields(session, Entity.PERSON)}
    assert {"LastName", "Company", "AccountId"} <= set(person)
    assert person["LastName"].is_required
    assert session.usage["requests"] >= 3
    assert session.usage["api_limit"] > session.usage["api_used"] > 0
