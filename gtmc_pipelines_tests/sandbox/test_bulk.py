"""Bulk API 2.0 query jobs: states, result pages, locators, formats, refusals."""

from __future__ import annotations

import csv
import io

import pytest
import requests

from .conftest import Client


def results(client: Client, job: str, **asked: object) -> requests.Response:
    return client.get(f"jobs/query/{job}/results", params=asked)


def ready(client: Client, soql: str, **wish: str) -> str:
    job: str = client.job(soql, **wish).json()["id"]
    assert client.get(f"jobs/query/{job}").json()["state"] == "JobComplete"
    return job


def test_result_pages_hold_every_record_once_and_end_with_the_word_null(salesforce: Client) -> None:
    job = ready(salesforce, "SELECT Id FROM Contact")
    ids: list[str] = []
    locator: str | None = None
    while locator != "null":
        page = results(salesforce, job, maxRecords=700, **({"locator": locator} if locator else {}))
        rows = list(csv.DictReader(io.StringIO(page.text)))
        assert int(page.headers["sforce-numberofrecords"]) == len(rows)
        locator = page.headers["sforce-locator"]
        ids += [row["Id"] for row in rows]
    assert len(set(ids)) == len(ids) == 2000


def test_a_page_can_be_read_again_after_changes(salesforce: Client) -> None:
    job = ready(salesforce, "SELECT Id FROM Contact")
    locator = results(salesforce, job, maxRecords=500).headers["sforce-locator"]
    first = results(salesforce, job, maxRecords=500, locator=locator).text
    salesforce.mutate("update", count=50)
    salesforce.mutate("create", count=50)
    assert results(salesforce, job, maxRecords=500, locator=locator).text == first


def test_a_job_tells_what_it_is(salesforce: Client) -> None:
    made = salesforce.job("SELECT Id FROM Lead").json()
    assert (made["state"], made["operation"], made["object"], made["apiVersion"]) == (
        "UploadComplete",
        "query",
        "Lead",
        60,
    )
    looked = salesforce.get(f"jobs/query/{made['id']}").json()
    assert (looked["jobType"], looked["numberRecordsProcessed"]) == ("V2Query", 1000)
    assert made["id"] in {job["id"] for job in salesforce.get("jobs/query").json()["records"]}


def test_query_all_brings_the_recycle_bin(salesforce: Client) -> None:
    job = ready(salesforce, "SELECT Id, IsDeleted FROM Lead", operation="queryAll")
    rows = list(csv.DictReader(io.StringIO(results(salesforce, job).text)))
    assert [row["IsDeleted"] for row in rows].count("true") == 20


def test_delimiters_and_line_endings_are_obeyed(salesforce: Client) -> None:
    job = ready(salesforce, "SELECT Id, Name FROM Lead LIMIT 2", columnDelimiter="PIPE", lineEnding="CRLF")
    lines = results(salesforce, job).content.split(b"\r\n")
    assert lines[0] == b'"Id"|"Name"'
    assert len(lines) == 4


def test_results_wait_for_the_job(salesforce: Client) -> None:
    salesforce.knob("bulk_polls", polls=1)
    job = salesforce.job("SELECT Id FROM Lead").json()["id"]
    assert results(salesforce, job).json()[0]["errorCode"] == "INVALIDJOBSTATE"
    states = [salesforce.get(f"jobs/query/{job}").json()["state"] for _ in range(2)]
    assert states == ["InProgress", "JobComplete"]


def test_an_aborted_job_is_over_and_can_be_deleted(salesforce: Client) -> None:
    job = salesforce.job("SELECT Id FROM Lead").json()["id"]
    url = f"{salesforce.data}/jobs/query/{job}"
    assert salesforce.http.delete(url).status_code == 400
    assert salesforce.http.patch(url, json={"state": "Aborted"}).json()["state"] == "Aborted"
    assert salesforce.get(f"jobs/query/{job}").json()["state"] == "Aborted"
    assert salesforce.http.delete(url).status_code == 204
    assert salesforce.http.get(url).status_code == 404


def test_result_pages_are_listed_five_at_a_time(salesforce: Client) -> None:
    job = ready(salesforce, "SELECT Id FROM Contact")
    listed = salesforce.get(f"jobs/query/{job}/resultPages", params={"maxRecords": 300}).json()
    assert (len(listed["resultPages"]), listed["done"]) == (5, False)
    rest = salesforce.get(listed["nextRecordsUrl"]).json()
    assert (len(rest["resultPages"]), rest["done"]) == (2, True)
    links = [page["resultLink"] for page in listed["resultPages"] + rest["resultPages"]]
    counts = [int(salesforce.get(link).headers["sforce-numberofrecords"]) for link in links]
    assert counts == [300] * 6 + [200]


def test_results_under_another_version_are_refused(salesforce: Client) -> None:
    job = ready(salesforce, "SELECT Id FROM Lead")
    assert salesforce.get(f"/services/data/v61.0/jobs/query/{job}/results").status_code == 409


def test_a_failed_job_says_why(salesforce: Client) -> None:
    salesforce.knob("bulk_job_fails", count=1, message="InternalServerError: too bad")
    job = salesforce.job("SELECT Id FROM Lead").json()["id"]
    looked = salesforce.get(f"jobs/query/{job}").json()
    assert (looked["state"], looked["errorMessage"]) == ("Failed", "InternalServerError: too bad")
    assert ready(salesforce, "SELECT Id FROM Lead")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"operation": "query", "query": "SELECT Id FROM User"}, "INVALIDENTITY"),
        ({"operation": "query", "query": "SELECT BillingAddress FROM Account"}, "FUNCTIONALITY_NOT_ENABLED"),
        ({"operation": "query", "query": "SELECT Id FROM Account OFFSET 5"}, "API_ERROR"),
        ({"operation": "query", "query": "SELECT Nope FROM Account"}, "INVALID_FIELD"),
        ({"operation": "query", "query": "SELEKT"}, "MALFORMED_QUERY"),
        ({"operation": "insert", "query": "SELECT Id FROM Account"}, "INVALIDJOB"),
        ({"operation": "query"}, "INVALIDJOB"),
        ([], "INVALIDJOB"),
    ],
)
def test_a_job_that_can_not_be_is_refused_when_made(salesforce: Client, body: object, code: str) -> None:
    answer = salesforce.http.post(f"{salesforce.data}/jobs/query", json=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_bulk_can_be_refused_for_one_object(salesforce: Client) -> None:
    salesforce.knob("bulk_unsupported")
    assert salesforce.job("SELECT Id FROM Task").json()[0]["errorCode"] == "INVALIDENTITY"


@pytest.mark.parametrize(
    "asked", [{"maxRecords": "0"}, {"maxRecords": "x"}, {"locator": "!!"}, {"locator": "OTk5OTk5"}]
)
def test_wrong_paging_is_refused(salesforce: Client, asked: dict[str, str]) -> None:
    job = ready(salesforce, "SELECT Id FROM Lead")
    assert results(salesforce, job, **asked).status_code == 400
