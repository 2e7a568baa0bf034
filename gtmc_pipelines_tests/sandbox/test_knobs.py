"""Every fault knob does what the docs say, as often as told, to whom it is told."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxMisuse

from .conftest import Client

QUERY = "SELECT Id, LastName, Description FROM Contact"


def statuses(client: Client, times: int) -> list[int]:
    return [client.get("limits").status_code for _ in range(times)]


def test_rate_limit_with_seconds_date_and_without(salesforce: Client) -> None:
    salesforce.knob("rate_limit", count=1, retry_after=7)
    answer = salesforce.get("limits")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    assert answer.json()[0]["errorCode"]
    salesforce.knob("rate_limit", count=1, retry_after=30, retry_after_form="date")
    wait = parsedate_to_datetime(salesforce.get("limits").headers["retry-after"]) - datetime.now(UTC)
    assert 25 < wait.total_seconds() <= 31
    salesforce.knob("rate_limit", count=1, retry_after=None)
    answer = salesforce.get("limits")
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers
    assert statuses(salesforce, 1) == [200]


def test_server_errors_with_json_and_html(salesforce: Client) -> None:
    salesforce.knob("server_error", count=1, status=500)
    answer = salesforce.get("limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (500, "UNKNOWN_EXCEPTION")
    salesforce.knob("server_error", count=1, body="html")
    answer = salesforce.get("limits")
    assert answer.status_code == 503
    assert answer.text.startswith("<!DOCTYPE html>")


def test_an_error_that_gives_back_the_request(salesforce: Client) -> None:
    salesforce.knob(
        "echo", count=2, status=400, path="token", words={"error": "bad", "error_description": "Got {echo}"}
    )
    answer = salesforce.token(grant_type="refresh_token", refresh_token='a "quoted" one')
    assert (answer.status_code, answer.json()["error"]) == (400, "bad")
    for part in ("refresh_token=a+%22quoted%22+one", f"client_secret={salesforce.credentials['client_secret']}"):
        assert part in answer.json()["error_description"]
    salesforce.knob("echo", count=1)
    answer = salesforce.get("limits")
    assert answer.status_code == 401
    assert salesforce.http.headers["Authorization"] in answer.json()["error"]


def test_an_html_page_instead_of_an_answer(salesforce: Client) -> None:
    salesforce.knob("html_page", count=1)
    answer = salesforce.get("limits")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_a_spent_quota_is_refused_without_a_time_to_come_back(salesforce: Client) -> None:
    salesforce.knob("quota", count=1)
    answer = salesforce.get("limits")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    assert "retry-after" not in answer.headers
    assert "sforce-limit-info" in answer.headers


def test_slow_answers_and_trickling_bodies(salesforce: Client) -> None:
    salesforce.knob("slow", count=1, latency_ms=300)
    began = time.monotonic()
    assert statuses(salesforce, 1) == [200]
    assert time.monotonic() - began >= 0.3
    salesforce.control("DELETE", "knobs")
    size = len(salesforce.get("limits").content)
    salesforce.knob("slow", bytes_per_second=size * 2)
    began = time.monotonic()
    assert len(salesforce.get("limits").content) == size
    assert time.monotonic() - began >= 0.35


@pytest.mark.parametrize("after_bytes", [None, 100])
def test_a_connection_cut_in_the_middle_of_the_body(salesforce: Client, after_bytes: int | None) -> None:
    salesforce.knob("cut", count=1, **({"after_bytes": after_bytes} if after_bytes else {}))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        salesforce.query(QUERY)
    entry = salesforce.journal()["entries"][-1]
    assert (entry["complete"], entry["faults"], entry["status"]) == (False, ["cut"], 200)
    assert after_bytes is None or entry["bytes"] == after_bytes
    assert salesforce.query(QUERY).status_code == 200


def test_an_expired_session_once_and_always(salesforce: Client) -> None:
    salesforce.knob("expired_session", count=1)
    assert statuses(salesforce, 3) == [401, 200, 200]
    salesforce.knob("expired_session")
    assert statuses(salesforce, 3) == [401, 401, 401]


def bent(client: Client, fault: str, **wish: Any) -> dict[str, Any]:
    client.knob(fault, count=1, **wish)
    page: dict[str, Any] = client.query(QUERY, size=500).json()
    return page


def test_one_record_without_an_id_among_good_ones(salesforce: Client) -> None:
    rows = bent(salesforce, "record_without_id")["records"]
    assert sum("Id" not in row for row in rows) == 1
    assert len(rows) == 500


def test_a_null_in_a_required_field(salesforce: Client) -> None:
    assert sum(row["LastName"] is None for row in bent(salesforce, "null_field")["records"]) == 1


def test_an_unknown_field_a_dropped_one_and_one_of_another_type(salesforce: Client) -> None:
    assert all(row["Surprise__c"] == "surprise" for row in bent(salesforce, "extra_field")["records"])
    assert all("LastName" not in row for row in bent(salesforce, "dropped_field", field="LastName")["records"])
    assert all(row["LastName"] == 5 for row in bent(salesforce, "retyped_field", field="LastName", value=5)["records"])


def test_one_record_can_be_huge(salesforce: Client) -> None:
    rows = bent(salesforce, "huge_record", bytes=3_000_000)["records"]
    assert max(len(row["Description"] or "") for row in rows) == 3_000_000


def test_a_malformed_page_breaks_off_in_the_middle(salesforce: Client) -> None:
    salesforce.knob("malformed_page", count=1)
    answer = salesforce.query(QUERY)
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()


def test_a_foreign_next_link(salesforce: Client) -> None:
    page = bent(salesforce, "foreign_next", url="https://evil.example/next")
    assert (page["nextRecordsUrl"], page["done"]) == ("https://evil.example/next", False)


def test_a_cursor_that_loops(salesforce: Client) -> None:
    page = bent(salesforce, "cursor_loop")
    headers = {"Sforce-Query-Options": "batchSize=500"}
    again = salesforce.get(page["nextRecordsUrl"], headers=headers).json()
    assert again["records"] == page["records"]


def test_an_empty_page_with_a_next_link_loses_nothing(salesforce: Client) -> None:
    salesforce.knob("empty_page", every=2)
    rows = salesforce.rows("SELECT Id FROM Contact", size=500)
    assert len({row["Id"] for row in rows}) == 2000
    assert salesforce.control("GET", "knobs")["knobs"][0]["fired"] >= 2


def test_faults_in_csv_results(salesforce: Client) -> None:
    job = salesforce.job("SELECT Id, LastName FROM Contact").json()["id"]
    salesforce.get(f"jobs/query/{job}")
    whole = salesforce.get(f"jobs/query/{job}/results").text
    salesforce.knob("record_without_id", count=1)
    salesforce.knob("extra_field", count=1)
    text = salesforce.get(f"jobs/query/{job}/results").text
    assert text.startswith('"Id","LastName","Surprise__c"')
    assert text.count('"",') == 1
    salesforce.knob("malformed_page", count=1)
    assert len(salesforce.get(f"jobs/query/{job}/results").text) < len(whole)
    assert salesforce.get(f"jobs/query/{job}/results").text == whole


def test_describe_can_miss_a_field_and_have_a_new_one(salesforce: Client) -> None:
    salesforce.knob("missing_field", field="Title")
    salesforce.knob("describe_extra_field", field="Brand_New__c")
    names = {field["name"] for field in salesforce.get("sobjects/Contact/describe").json()["fields"]}
    assert "Title" not in names
    assert "Brand_New__c" in names


def test_a_skewed_clock_shows_in_dates_and_stamps(salesforce: Client) -> None:
    salesforce.knob("clock_skew", seconds=-7200)
    date = parsedate_to_datetime(salesforce.get("limits").headers["date"])
    assert 7190 < (datetime.now(UTC) - date).total_seconds() < 7210
    changed = salesforce.mutate("update")
    stamp = salesforce.get(f"sobjects/Contact/{changed[0]}").json()["SystemModstamp"]
    assert 7190 < (datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds() < 7210


def test_after_every_and_count_choose_the_chances(salesforce: Client) -> None:
    salesforce.knob("server_error", after=1, every=2, count=2)
    assert statuses(salesforce, 8) == [200, 200, 503, 200, 503, 200, 200, 200]


def test_a_knob_concerns_only_its_org_and_path(salesforce: Client) -> None:
    salesforce.knob("server_error", org="globex")
    salesforce.knob("rate_limit", path="/query$")
    assert statuses(salesforce, 1) == [200]
    assert salesforce.query(QUERY).status_code == 429
    token = salesforce.credentials["orgs"]["globex"]["access_token"]
    answer = requests.get(f"{salesforce.data}/limits", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert answer.status_code == 503


def test_the_same_seed_throws_the_same_dice() -> None:
    def fired() -> list[bool]:
        knobs = Knobs(7, ["server_error"])
        knob = knobs.add({"fault": "server_error", "probability": 0.3})
        return [knob.strikes() for _ in range(1000)]

    assert fired() == fired()
    assert 250 < sum(fired()) < 350


def test_knobs_are_shown_replaced_and_removed(salesforce: Client) -> None:
    salesforce.knob("slow", id="mine", latency_ms=1)
    shown = salesforce.control("GET", "knobs")["knobs"][0]
    assert (shown["id"], shown["vendor"], shown["latency_ms"], shown["fired"]) == ("mine", "salesforce", 1, 0)
    assert len(salesforce.control("PUT", "knobs", [{"fault": "quota"}, {"fault": "cut"}])["knobs"]) == 2
    assert salesforce.control("DELETE", "knobs/mine") == {"removed": 0}
    assert salesforce.control("DELETE", "knobs") == {"knobs": []}


@pytest.mark.parametrize("wish", [{}, {"fault": "nope"}, {"fault": "cut", "count": "x"}, {"fault": "cut", "path": "("}])
def test_a_wish_that_makes_no_sense_is_refused(salesforce: Client, wish: dict[str, Any]) -> None:
    with pytest.raises(SandboxMisuse):
        Knobs(7, ["cut"]).add(wish)
    assert "error" in salesforce.control("POST", "knobs", wish)


def test_the_docs_name_every_fault(salesforce: Client) -> None:
    pages = [requests.get(vendor["docs"], timeout=30).text for vendor in salesforce.announcement["vendors"].values()]
    docs = "".join(pages)
    faults = salesforce.control("POST", "knobs", {"fault": "?"})["error"].split("known are ")[1].rstrip(".")
    assert all(f"`{fault}`" in docs for fault in faults.split(", "))
