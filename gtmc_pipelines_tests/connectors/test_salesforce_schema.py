"""An org's schema may be as large as Salesforce lets it be: whole records, small requests, one moment each."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gtmc_pipelines.connectors.salesforce import composite, whole_records
from gtmc_pipelines.connectors.salesforce.api import SalesforceSession
from gtmc_pipelines.connectors.salesforce.soql import Selection
from gtmc_pipelines.connectors.salesforce.streams import OBJECTS, read_stream
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import SourceRecord
from gtmc_pipelines_tests.connectors.salesforce_scene import Org, assert_is_truth, pages_of
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of, since, soon

SELECTION = Selection(
    "Contact", ("Id", "IsDeleted", "SystemModstamp", *(f"F{n:03d}__c" for n in range(97))), "SystemModstamp"
)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 96, 97])
def test_parts_hold_every_field_once_and_each_what_tells_a_record(parts: int) -> None:
    found = [SELECTION.part(number, parts).fields for number in range(parts)]
    assert all(fields[:3] == SELECTION.fields[:3] for fields in found)
    assert [name for fields in found for name in fields[3:]] == list(SELECTION.fields[3:])


@pytest.mark.services
@pytest.mark.parametrize(
    ("stream", "way"),
    [("accounts", "rest"), ("accounts", "bulk"), ("tasks", "incremental")],
)
def test_a_schema_of_800_fields_is_read_whole(org: Org, stream: str, way: str) -> None:
    kind = OBJECTS[stream]
    org.break_("custom_fields", object=kind, fields=800, length=40)
    before = datetime.now(UTC)
    changed = set(org.mutate(kind, "update", count=5))
    start = since(before) if way == "incremental" else full()
    records = records_of(pages_of(org.session(bulk_threshold=0 if way == "bulk" else 1_000_000), stream, start))
    if way == "incremental":
        assert {record.external_id for record in records} == changed
    else:
        assert_is_truth(records, org.truth(kind), stream)
    fields = json.loads(records[0].payload)
    assert sum(name.startswith("F0") for name in fields) == 800
    assert {request["status"] for request in org.requests("/services/data/")} == {200}
    assert bool(org.requests("/composite")) is (way != "bulk")


@pytest.mark.services
def test_the_vendor_refuses_what_is_too_long(org: Org) -> None:
    session = org.session()
    for length, status in ((13_000, 200), (15_000, 431), (17_000, 414)):
        url = f"{session.base_url}/limits?x={'x' * length}"
        if status == 200:
            assert session.http.get(url).status_code == 200
            continue
        with pytest.raises(Broken):
            session.http.get(url)
        assert org.requests("/limits")[-1]["status"] == status
    with pytest.raises(Broken) as caught:
        session.query("SELECT Id FROM Contact WHERE LastName IN (" + ", ".join(["'a'"] * 30_000) + ")")
    assert caught.value.code == "malformed_query"


@pytest.mark.services
def test_a_long_list_of_ids_is_one_small_request(org: Org) -> None:
    ids = sorted(org.truth("Contact"))[:1_500]
    session = org.session()
    answer = whole_records.answer_of(session.query(Selection("Contact", ("Id",), "SystemModstamp").of_ids(ids)))
    assert len(answer.records) == len(ids)
    assert [request["method"] for request in org.requests("/services/data")] == ["POST"]
    assert session.usage["api_used"] == 1


@pytest.mark.services
def test_an_error_inside_a_composite_request_is_the_error(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gtmc_pipelines.connectors.salesforce.api.MOST_URI_BYTES", 0)
    org.break_("missing_field", field="no such one")
    with pytest.raises(Broken) as caught:
        org.session().query("SELECT Id, Gone__c FROM Contact")
    assert caught.value.code == "invalid_field"
    assert "Contact.Gone__c" in caught.value.sentence
    records = records_of(pages_of(org.session(page_records=200), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")
    assert composite.MOST_URI_BYTES


@pytest.mark.services
@pytest.mark.parametrize("way", [{"page_records": 200}, {"bulk_threshold": 0}], ids=["rest", "bulk"])
def test_a_select_too_complicated_is_read_in_parts_and_resumed_from_every_page(org: Org, way: dict[str, Any]) -> None:
    org.break_("custom_fields", object="Lead", fields=90)
    org.break_("query_too_complicated", fields=40)
    until = soon()
    pages = pages_of(org.session(**way), "leads", full(until=until))
    assert_is_truth(records_of(pages), org.truth("Lead"), "leads")
    for position in range(0, len(pages) - 1, 2):
        rest = pages_of(org.session(**way), "leads", full(pages[position].checkpoint, until))
        assert records_of(rest) == records_of(pages[position + 1 :])


@pytest.mark.services
def test_a_record_that_changes_between_its_parts_is_of_one_moment(org: Org, monkeypatch: pytest.MonkeyPatch) -> None:
    org.break_("custom_fields", object="Lead", fields=90)
    org.break_("query_too_complicated", fields=60)
    torn = sorted(org.truth("Lead"))[:3]
    plain, turns = SalesforceSession.query, iter(range(100))

    def changing(self: SalesforceSession, soql: str, **options: Any) -> bytes:
        if " IN (" in soql and next(turns) == 0:
            fields = {"LastName": "After", "F0089_".ljust(37, "x") + "__c": "after"}
            org.mutate("Lead", "update", ids=torn[:2], fields=fields, stamp=soon().isoformat())
            org.mutate("Lead", "purge", ids=torn[2:])
        return plain(self, soql, **options)

    monkeypatch.setattr(SalesforceSession, "query", changing)
    before = soon() - timedelta(seconds=10)
    records = {one.external_id: one for one in records_of(pages_of(org.session(), "leads", full(until=before)))}
    truth = org.truth("Lead")
    assert torn[2] not in records
    assert_are_whole(records, truth, torn[:2])
    assert json.loads(records[torn[0]].payload)["LastName"] == "After"


def assert_are_whole(records: dict[str, SourceRecord], truth: dict[str, dict[str, Any]], ids: list[str]) -> None:
    for key in ids:
        fields = json.loads(records[key].payload)
        assert fields == {name: truth[key][name] for name in fields}


@pytest.mark.services
def test_pages_of_wide_records_are_smaller(org: Org) -> None:
    org.break_("custom_fields", object="Lead", fields=800)
    first = next(read_stream(org.session(), "leads", full()))
    assert 200 <= len(first.records) < 500
