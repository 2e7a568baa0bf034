"""REST: pages, cursors, single records, deleted and updated ids, describe, limits, versions, errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests

from .conftest import Client


def test_pages_hold_every_record_once_and_next_pages_lie_under_query(salesforce: Client) -> None:
    page = salesforce.query("SELECT Id FROM Contact", everything=True, size=500).json()
    assert (page["totalSize"], page["done"], len(page["records"])) == (2040, False, 500)
    assert page["nextRecordsUrl"].startswith("/services/data/v60.0/query/01g")
    ids = [row["Id"] for row in salesforce.rows("SELECT Id FROM Contact", everything=True, size=500)]
    assert len(set(ids)) == len(ids) == 2040


def test_the_last_page_has_no_next_link(salesforce: Client) -> None:
    page = salesforce.query("SELECT Id FROM Account").json()
    assert page["done"]
    assert "nextRecordsUrl" not in page


@pytest.mark.parametrize("order", ["", " ORDER BY SystemModstamp, Id", " ORDER BY Name"])
def test_records_changed_while_paging_are_neither_lost_nor_doubled(salesforce: Client, order: str) -> None:
    before = {row["Id"] for row in salesforce.rows("SELECT Id FROM Contact")}
    page = salesforce.query(f"SELECT Id FROM Contact{order}", size=400).json()
    seen = [row["Id"] for row in page["records"]]
    while not page["done"]:
        salesforce.mutate("update", count=100)
        salesforce.mutate("create", count=5)
        headers = {"Sforce-Query-Options": "batchSize=400"}
        page = salesforce.get(page["nextRecordsUrl"], headers=headers).json()
        seen += [row["Id"] for row in page["records"]]
    assert len(seen) == len(set(seen))
    assert set(seen) == before


def test_a_thousand_equal_stamps_page_cleanly(salesforce: Client) -> None:
    stamp = "2026-08-01T12:00:00Z"
    ids = salesforce.mutate("update", count=1000, stamp=stamp)
    where = f"SystemModstamp >= {stamp} AND SystemModstamp < 2026-08-01T12:00:01Z"
    rows = salesforce.rows(f"SELECT Id FROM Contact WHERE {where} ORDER BY SystemModstamp, Id", size=300)
    assert [row["Id"] for row in rows] == sorted(ids)


def test_a_trailing_slash_is_optional(salesforce: Client) -> None:
    for path in ("limits", "limits/", "sobjects/", "sobjects/Account/describe/"):
        assert salesforce.get(path).status_code == 200
    assert salesforce.get("query/", params={"q": "SELECT Id FROM Account LIMIT 1"}).json()["totalSize"] == 1


def test_an_expired_locator_is_refused_for_good(salesforce: Client) -> None:
    following = salesforce.query("SELECT Id FROM Contact", size=500).json()["nextRecordsUrl"]
    assert salesforce.get(following).status_code == 200
    salesforce.knob("locator_expired", count=1)
    for _ in range(2):
        answer = salesforce.get(following)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    assert salesforce.get("/services/data/v60.0/query/01gnonsense-2000").status_code == 400


def test_another_orgs_cursor_is_not_found(salesforce: Client) -> None:
    following = salesforce.query("SELECT Id FROM Contact", size=500).json()["nextRecordsUrl"]
    token = salesforce.credentials["orgs"]["globex"]["access_token"]
    answer = requests.get(salesforce.base + following, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_one_record_can_be_read_by_its_short_or_long_id(salesforce: Client) -> None:
    row = salesforce.rows("SELECT Id, Name FROM Account LIMIT 1")[0]
    assert salesforce.get(f"sobjects/Account/{row['Id']}").json()["Name"] == row["Name"]
    short = salesforce.get(f"sobjects/Account/{row['Id'][:15]}", params={"fields": "Name"}).json()
    assert set(short) == {"attributes", "Name"}
    assert salesforce.get("sobjects/Account/001000000000000AAA").json()[0]["errorCode"] == "NOT_FOUND"


def test_deleted_and_updated_ids_follow_the_changes(salesforce: Client) -> None:
    gone = salesforce.mutate("delete", count=3)
    back = salesforce.mutate("delete", count=1)
    assert salesforce.mutate("undelete", ids=back) == back
    purged = salesforce.mutate("purge", ids=gone[:1])
    now = datetime.now(UTC)
    span = {
        "start": (now - timedelta(hours=1)).isoformat(timespec="seconds"),
        "end": (now + timedelta(minutes=2)).isoformat(timespec="seconds"),
    }
    deleted = salesforce.get("sobjects/Contact/deleted/", params=span).json()
    assert {row["id"] for row in deleted["deletedRecords"]} == set(gone) - set(purged)
    assert deleted["deletedRecords"][0]["deletedDate"].endswith("+0000")
    assert {"earliestDateAvailable", "latestDateCovered"} <= set(deleted)
    assert salesforce.get("sobjects/Contact/updated/", params=span).json()["ids"] == back
    old = {**span, "start": (now - timedelta(days=20)).isoformat(timespec="seconds")}
    assert salesforce.get("sobjects/Contact/deleted", params=old).status_code == 400
    assert salesforce.get("sobjects/Contact/deleted", params={"start": "x", "end": "y"}).status_code == 400


def test_describe_names_types_and_custom_fields(salesforce: Client) -> None:
    described = salesforce.get("sobjects/Contact/describe").json()
    fields = {field["name"]: field for field in described["fields"]}
    assert (fields["Engagement_Score__c"]["custom"], fields["Engagement_Score__c"]["type"]) == (True, "double")
    assert fields["Persona__c"]["type"] == "string"
    assert (fields["OwnerId"]["relationshipName"], fields["OwnerId"]["referenceTo"]) == ("Owner", ["User"])
    assert fields["MailingCity"]["compoundFieldName"] == "MailingAddress"
    assert not fields["Id"]["nillable"]
    listed = [one["name"] for one in salesforce.get("sobjects").json()["sobjects"]]
    assert listed == ["Account", "Contact", "Lead", "Opportunity", "Task", "Event", "User", "Organization"]


def test_every_rest_answer_tells_the_usage_but_the_versions_list_does_not(salesforce: Client) -> None:
    for answer in (salesforce.get("limits"), salesforce.query("SELECT"), salesforce.get("sobjects/Nope/describe")):
        assert answer.headers["sforce-limit-info"].startswith("api-usage=")
    versions = salesforce.get("/services/data")
    assert "sforce-limit-info" not in versions.headers
    assert {"version": "60.0", "label": "Spring '24", "url": "/services/data/v60.0"} in versions.json()
    limits = salesforce.get("limits").json()["DailyApiRequests"]
    used = limits["Max"] - limits["Remaining"]
    assert salesforce.get("limits").headers["sforce-limit-info"] == f"api-usage={used + 1}/{limits['Max']}"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/services/data/v60.0/nothing", 404, "NOT_FOUND"),
        ("GET", "/services/data/vNaN/limits", 404, "NOT_FOUND"),
        ("GET", "/services/data/v60.0/sobjects/Nope/describe", 404, "NOT_FOUND"),
        ("POST", "/services/data/v60.0/query", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_every_error_is_an_array_of_codes(salesforce: Client, method: str, path: str, status: int, code: str) -> None:
    answer = salesforce.http.request(method, salesforce.base + path)
    assert answer.status_code == status
    assert [item["errorCode"] for item in answer.json()] == [code]


def test_without_a_good_session_nothing_is_told(salesforce: Client) -> None:
    for headers in ({}, {"Authorization": "Bearer 00Dnothing"}):
        answer = requests.get(f"{salesforce.data}/limits", headers=headers, timeout=30)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


def test_versions_in_service_are_accepted(salesforce: Client) -> None:
    for version in ("31.0", "58.0", "66.0", "68.0"):
        page = salesforce.get(f"/services/data/v{version}/query", params={"q": "SELECT Id FROM Lead"}).json()
        assert f"/v{version}/" in page["records"][0]["attributes"]["url"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("v29.0/query?q=SELECT+Id+FROM+Lead", 410, "GONE"),
        ("v30.0", 410, "GONE"),
        ("v30.0/jobs/query", 400, "InvalidVersion"),
        ("v69.0/limits", 404, "NOT_FOUND"),
        ("v99.0", 404, "NOT_FOUND"),
        ("v066.0", 404, "NOT_FOUND"),
    ],
)
def test_retired_versions_are_gone_and_future_ones_not_there(
    salesforce: Client, path: str, status: int, code: str
) -> None:
    answer = salesforce.get(f"/services/data/{path}")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (status, code)


def test_the_root_of_a_version_names_who_asks(salesforce: Client) -> None:
    identity = salesforce.get("/services/data/v66.0").json()["identity"]
    assert salesforce.http.get(identity).json()["id"] == identity
