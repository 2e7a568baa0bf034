"""Journal, truth, mutations, reset: what tests rely on must itself be true."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from .conftest import Client


def test_the_journal_tells_what_was_served(salesforce: Client) -> None:
    first = salesforce.query("SELECT Id FROM Contact", size=500)
    salesforce.get("nothing")
    requests.get(f"{salesforce.data}/limits", timeout=30)
    journal = salesforce.journal()
    paths = [entry["path"].removeprefix("/services/data/v60.0/") for entry in journal["entries"]]
    assert paths == ["query", "nothing", "limits"]
    entry = journal["entries"][0]
    told = [entry[name] for name in ("method", "status", "org", "records", "bytes", "complete", "vendor")]
    assert told == ["GET", 200, "acme", 500, len(first.content), True, "salesforce"]
    assert entry["query"].startswith("q=SELECT+Id")
    assert (journal["requests"], journal["records"]) == (3, 500)
    assert journal["by_status"] == {"200": 1, "404": 1, "401": 1}
    assert journal["entries"][2]["org"] is None


def test_the_journal_counts_bulk_rows_and_bytes(salesforce: Client) -> None:
    job = salesforce.job("SELECT Id FROM Lead").json()["id"]
    salesforce.get(f"jobs/query/{job}")
    body = salesforce.get(f"jobs/query/{job}/results").content
    entry = salesforce.journal(path="/results")["entries"][0]
    assert (entry["records"], entry["bytes"]) == (1000, len(body))


def test_the_journal_can_be_narrowed_and_cleared(salesforce: Client) -> None:
    salesforce.get("limits")
    seq = salesforce.journal()["last_seq"]
    salesforce.get("sobjects")
    assert [entry["seq"] for entry in salesforce.journal(since=seq)["entries"]] == [seq + 1]
    assert salesforce.journal(path="limits")["requests"] == 1
    assert salesforce.journal(org="globex")["requests"] == 0
    assert salesforce.journal(limit=1)["requests"] == 2
    assert salesforce.control("DELETE", "journal")["cleared"] is True
    assert salesforce.journal()["requests"] == 0


def test_the_journal_sees_how_many_requests_ran_at_once(salesforce: Client) -> None:
    salesforce.knob("slow", latency_ms=200)
    headers = dict(salesforce.http.headers)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(requests.get, f"{salesforce.data}/limits", headers=headers, timeout=30) for _ in range(4)]
    assert [future.result().status_code for future in asked] == [200] * 4
    assert max(entry["in_flight"] for entry in salesforce.journal()["entries"]) == 4


def live(client: Client, name: str = "Contact") -> dict[str, Any]:
    url = f"{client.base}/_sandbox/truth"
    answer = requests.get(url, params={"org": "acme", "object": name}, timeout=30)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return {row["Id"]: row for row in map(json.loads, answer.text.splitlines())}


def test_truth_equals_what_the_api_serves(salesforce: Client) -> None:
    salesforce.mutate("update", count=5)
    salesforce.mutate("delete", count=5)
    fields = [field["name"] for field in salesforce.get("sobjects/Contact/describe").json()["fields"]]
    rows = {row["Id"]: row for row in salesforce.rows(f"SELECT {','.join(fields)} FROM Contact")}
    assert live(salesforce) == rows


def test_the_digest_is_that_of_the_lines_and_moves_with_every_change(salesforce: Client) -> None:
    before = salesforce.control("GET", "truth?org=acme")["objects"]
    lines = requests.get(f"{salesforce.base}/_sandbox/truth?org=acme&object=Contact", timeout=30).content
    assert before["Contact"]["digest"] == hashlib.sha256(lines).hexdigest()
    salesforce.mutate("update", count=1)
    after = salesforce.control("GET", "truth?org=acme")["objects"]
    assert after["Contact"]["digest"] != before["Contact"]["digest"]
    assert after["Account"] == before["Account"]
    assert "digest" not in salesforce.control("GET", "truth?org=acme&digest=false")["objects"]["Contact"]


def test_truth_can_be_paged(salesforce: Client) -> None:
    every = list(live(salesforce))
    page = salesforce.control("GET", "truth?org=acme&object=Contact&offset=1990&limit=100")["records"]
    assert [row["Id"] for row in page] == every[1990:]


def test_counts_follow_create_update_delete_undelete_and_purge(salesforce: Client) -> None:
    def counts() -> tuple[int, int]:
        told = salesforce.control("GET", "truth?org=acme&digest=false")["objects"]["Contact"]
        return told["live"], told["deleted"]

    assert counts() == (2000, 40)
    made = salesforce.mutate("create", count=3, fields={"LastName": "Neu", "FirstName": None})
    assert counts() == (2003, 40)
    assert live(salesforce)[made[0]]["Name"] == "Neu"
    gone = salesforce.mutate("delete", ids=made[:2])
    assert counts() == (2001, 42)
    salesforce.mutate("undelete", ids=gone[:1])
    assert counts() == (2002, 41)
    salesforce.mutate("purge", ids=gone[1:])
    assert counts() == (2002, 40)
    salesforce.mutate("purge", count=5)
    assert counts() == (2002, 35)
    assert salesforce.query("SELECT COUNT() FROM Contact", everything=True).json()["totalSize"] == 2037
    salesforce.mutate("update", ids=made[:1], fields={"Email": "neu@x.example"})
    assert live(salesforce)[made[0]]["Email"] == "neu@x.example"
    assert counts() == (2002, 35)


def test_a_change_moves_the_stamp_and_only_what_it_should(salesforce: Client) -> None:
    before = live(salesforce)
    [changed] = salesforce.mutate("update", fields={"Title": "Köchin"})
    after = live(salesforce)
    moved = {name for name in before[changed] if before[changed][name] != after[changed][name]}
    assert moved == {"Title", "LastModifiedDate", "SystemModstamp"}
    assert {one for one in before if before[one] != after[one]} == {changed}


def test_an_update_without_fields_always_changes_something(salesforce: Client) -> None:
    before = live(salesforce)
    changed = salesforce.mutate("update", count=40)
    after = live(salesforce)
    assert all(before[one]["Title"] != after[one]["Title"] for one in changed)


def test_a_late_stamp_is_taken_as_given(salesforce: Client) -> None:
    [changed] = salesforce.mutate("update", stamp="2026-07-01T12:00:00+02:00")
    assert live(salesforce)[changed]["SystemModstamp"] == "2026-07-01T10:00:00.000+0000"


@pytest.mark.parametrize(
    "wish",
    [
        {"action": "explode"},
        {"action": "update", "object": "Nope"},
        {"action": "update", "org": "nobody"},
        {"action": "update", "ids": ["003000000000000AAA"]},
        {"action": "update", "fields": {"Nope": 1}},
        {"action": "update", "fields": {"DoNotCall": "yes"}},
        {"action": "update", "fields": {"MailingAddress": {}}},
        {"action": "update", "stamp": "2026-07-01T12:00:00"},
        {"action": "update", "stamp": "yesterday"},
        {"action": "undelete", "count": 5000},
    ],
)
def test_a_mutation_that_can_not_be_is_refused_and_changes_nothing(salesforce: Client, wish: dict[str, Any]) -> None:
    answer = requests.post(
        f"{salesforce.base}/_sandbox/mutate", json={"org": "acme", "object": "Contact", **wish}, timeout=30
    )
    assert answer.status_code == 400
    assert answer.json()["error"]
    told = salesforce.control("GET", "truth?org=acme&digest=false")["objects"]["Contact"]
    assert told == {"live": 2000, "deleted": 40}


def test_reset_brings_back_the_beginning(salesforce: Client) -> None:
    before = salesforce.control("GET", "truth?org=acme")
    salesforce.mutate("delete", count=10)
    salesforce.knob("quota")
    salesforce.control("POST", "reset")
    assert salesforce.control("GET", "truth?org=acme") == before
    assert salesforce.control("GET", "knobs") == {"knobs": []}
    assert salesforce.journal()["requests"] == 0
    assert salesforce.get("limits").status_code == 200
