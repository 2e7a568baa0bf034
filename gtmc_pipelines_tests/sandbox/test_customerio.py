"""The imitated Customer.io keeps to the vendor's contract: shapes, nulls, pages, regions, limits, changes, state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running

SIZES = {"customerio_people": 120, "customerio_messages": 150, "customerio_activities": 160}
EVERYBODY = {"filter": {"and": [{"attribute": {"field": "cio_id", "operator": "exists"}}]}}
MESSAGE_KEYS = {
    *("id", "deduplicate_id", "created", "type", "recipient", "customer_id", "customer_identifiers", "subject"),
    *("metrics", "failure_message", "campaign_id", "newsletter_id", "transactional_message_id", "msg_template_id"),
    *("broadcast_id", "trigger_event_id", "message_template_id", "forgotten"),
}
MESSAGE_IDS = {"action_id", "content_id"}
"""Whole numbers where there are any, and never null."""
ACTIVITY_KEYS = {"id", "type", "timestamp", "customer_id", "customer_identifiers", "data", "delivery_id"}
DELIVERY_TYPES = {"ios", "android", "email", "phone"}


class Api:
    """Plain HTTP against the imitated App API, as workspace acme."""

    def __init__(self, announcement: dict[str, Any]) -> None:
        vendor = announcement["vendors"]["customerio"]
        self.base: str = vendor["http"]
        self.keys: dict[str, str] = vendor["credentials"]["orgs"]["acme"]
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {self.keys['api_key']}"

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.http.get(f"{self.base}/v1/{path}", params=query, timeout=30)

    def post(self, path: str, body: Any, **query: Any) -> requests.Response:
        return self.http.post(f"{self.base}/v1/{path}", json=body, params=query, timeout=30)

    def control(self, method: str, page: str, body: Any = None) -> Any:
        return self.http.request(method, f"{self.base}/_sandbox/{page}", json=body, timeout=30).json()

    def mutate(self, kind: str, action: str, **wish: Any) -> Any:
        return self.control("POST", "mutate", {"org": "acme", "object": kind, "action": action, **wish})

    def all(self, key: str, path: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        start = ""
        while True:
            page = self.get(path, **query, **({"start": start} if start else {})).json()
            found += page[key] or []
            start = page["next"]
            if not start:
                return found


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    sizes = {**SIZES, "customerio_requests_per_second": 10_000}
    with running(SandboxOptions(vendors=("customerio",), sizes=sizes)) as announcement:
        api = Api(announcement)
        yield api
        api.http.close()


@pytest.fixture
def api(served: Api) -> Api:
    served.control("POST", "reset")
    return served


def test_a_search_walks_everybody_and_ends_with_an_empty_next(api: Api) -> None:
    first = api.post("customers", EVERYBODY).json()
    assert set(first) == {"identifiers", "ids", "next"}
    assert len(first["identifiers"]) == len(first["ids"]) == 50
    seen, start = [*first["identifiers"]], first["next"]
    while start:
        page = api.post("customers", EVERYBODY, start=start, limit=40).json()
        seen, start = seen + page["identifiers"], page["next"]
    assert len({one["cio_id"] for one in seen}) == 120
    assert any(one["id"] is None for one in seen)
    assert any(one["email"] is None for one in seen)


def test_the_filter_tree_is_understood_and_bad_ones_are_refused(api: Api) -> None:
    trial = {"attribute": {"field": "plan", "operator": "eq", "value": "trial"}}
    trials = api.post("customers", {"filter": trial}, limit=1000).json()["identifiers"]
    others = api.post("customers", {"filter": {"not": {"segment": {"id": 2}}}}, limit=1000).json()["identifiers"]
    assert len(trials) + len(others) == 120
    both = api.post("customers", {"filter": {"or": [trial, {"not": trial}]}}, limit=1000).json()["identifiers"]
    assert len(both) == 120
    bad: dict[str, Any]
    for bad in ({}, {"filter": {}}, {"filter": {"attribute": {"field": "created_at", "operator": "gt", "value": 1}}}):
        answer = api.post("customers", bad)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["status"] == "400"


def test_attributes_come_bare_as_texts_and_unknown_ids_are_left_out(api: Api) -> None:
    ids = [one["cio_id"] for one in api.post("customers", EVERYBODY, limit=3).json()["identifiers"]]
    found = api.post("customers/attributes", {"ids": [*ids, "nobody", f"cio_{ids[0]}"]}, id_type="cio_id").json()
    assert [one["identifiers"]["cio_id"] for one in found["customers"]] == ids
    for one in found["customers"]:
        assert set(one) == {"id", "identifiers", "attributes", "timestamps", "unsubscribed", "devices"}
        assert all(isinstance(value, str) for value in one["attributes"].values())
        assert set(one["timestamps"]) == set(one["attributes"])
    assert api.post("customers/attributes", {"ids": ["x"] * 101}, id_type="cio_id").status_code == 400
    single = api.get(f"customers/{ids[0]}/attributes", id_type="cio_id").json()["customer"]
    assert single == found["customers"][0]
    assert api.get("customers/nobody/attributes").status_code == 404


def test_people_are_those_of_the_other_vendors(api: Api) -> None:
    from gtmc_pipelines.sandbox.world import World

    world = World(7, "acme")
    emails = {one["email"] for one in api.post("customers", EVERYBODY, limit=1000).json()["identifiers"]}
    assert {world.person(number).email for number in range(5)} <= emails
    found = api.get("customers", email=world.person(3).email).json()["results"]
    assert [one["email"] for one in found] == [world.person(3).email]
    assert api.get("customers", email="nobody@nowhere.example").json() == {"results": []}


def test_an_empty_segment_has_null_arrays(api: Api) -> None:
    segments = {one["name"]: one for one in api.get("segments").json()["segments"]}
    empty = segments["Nobody yet"]["id"]
    assert api.get(f"segments/{empty}/membership").json() == {
        "segment_id": empty,
        "ids": None,
        "identifiers": None,
        "next": "",
    }
    trials = segments["Trials"]["id"]
    count = api.get(f"segments/{trials}/customer_count").json()["count"]
    assert len(api.get(f"segments/{trials}/membership").json()["identifiers"]) == count > 0
    assert api.get("segments/99").status_code == 404


def test_messages_have_exactly_the_documented_keys_and_are_newest_first(api: Api) -> None:
    found = api.all("messages", "messages", limit=40)
    assert len(found) == 150
    assert all(set(one) - MESSAGE_IDS == MESSAGE_KEYS for one in found)
    assert all(isinstance(one[name], int) for one in found for name in MESSAGE_IDS & set(one))
    assert [one["created"] for one in found] == sorted((one["created"] for one in found), reverse=True)
    assert {one["type"] for one in found} == {"email", "push", "twilio"}
    mails = api.all("messages", "messages", type="email")
    assert {one["id"] for one in mails} == {one["id"] for one in found if one["type"] == "email"}
    opened = api.all("messages", "messages", metric="opened", limit=1000)
    assert {one["id"] for one in opened} == {one["id"] for one in found if "opened" in one["metrics"]}
    assert any("prefetch_opened" in one["metrics"] and "human_opened" not in one["metrics"] for one in opened)


def test_the_window_of_messages_includes_both_ends_and_spans_six_months_at_most(api: Api) -> None:
    found = api.all("messages", "messages")
    one = found[len(found) // 2]
    exact = api.all("messages", "messages", start_ts=one["created"], end_ts=one["created"])
    assert one["id"] in {each["id"] for each in exact}
    assert api.get("messages", start_ts=1, end_ts=400 * 86_400).status_code == 400
    assert api.get("messages", limit=1001).status_code == 400
    assert api.get("messages", start="not a cursor").status_code == 400


def test_activities_have_exactly_the_documented_keys_and_ten_a_page(api: Api) -> None:
    assert len(api.get("activities").json()["activities"]) == 10
    assert api.get("activities", limit=101).status_code == 400
    found = api.all("activities", "activities", limit=100)
    assert len(found) == 160
    assert all(set(one) - {"delivery_type"} == ACTIVITY_KEYS for one in found)
    assert DELIVERY_TYPES >= {one["delivery_type"] for one in found if "delivery_type" in one} != set()
    assert [one["timestamp"] for one in found] == sorted((one["timestamp"] for one in found), reverse=True)
    named = api.all("activities", "activities", limit=100, name="form_submitted")
    assert {one["data"]["name"] for one in named} == {"form_submitted"}
    person = next(one for one in found if one["customer_id"])
    cio_id = person["customer_identifiers"]["cio_id"]
    assert api.get("activities", customer_id=cio_id, id_type="cio_id").status_code == 400
    theirs = api.all("activities", "activities", customer_id=f"cio_{cio_id}", id_type="cio_id")
    assert {one["customer_identifiers"]["cio_id"] for one in theirs} == {cio_id}


def test_a_new_head_does_not_move_the_pages_behind_it(api: Api) -> None:
    first = api.get("activities", limit=50).json()
    second = api.get("activities", limit=50, start=first["next"]).json()
    api.mutate("activities", "create", count=9)
    assert api.get("activities", limit=50, start=first["next"]).json() == second


def test_a_key_is_good_in_its_own_region_only(api: Api) -> None:
    def status(path: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {api.keys[key]}"}
        return requests.get(f"{api.base}{path}/v1/workspaces", headers=headers, timeout=30).status_code

    assert (status("", "api_key"), status("/eu", "eu_api_key")) == (200, 200)
    assert (status("", "eu_api_key"), status("/eu", "api_key")) == (401, 401)
    refused = requests.get(f"{api.base}/v1/workspaces", timeout=30)
    assert refused.json() == {"errors": [{"detail": "unauthorized", "status": "401"}]}


def test_the_region_probe_is_on_the_track_host_and_takes_basic_credentials(api: Api) -> None:
    url = f"{api.base}/api/v1/accounts/region"
    found = requests.get(url, auth=(api.keys["site_id"], api.keys["track_key"]), timeout=30).json()
    assert set(found) == {"url", "region", "environment_id"}
    assert requests.get(url, auth=("x", "y"), timeout=30).json() == {"meta": {"error": "unauthorized"}}
    assert api.get("accounts/region").status_code == 404


def test_a_deleted_person_vanishes_and_their_mails_keep_the_cio_id(api: Api) -> None:
    mail = next(one for one in api.all("messages", "messages") if one["customer_id"])
    cio_id = mail["customer_identifiers"]["cio_id"]
    api.mutate("people", "delete", ids=[cio_id])
    assert api.get(f"customers/{cio_id}/attributes", id_type="cio_id").status_code == 404
    kept = api.get(f"messages/{mail['id']}").json()["message"]
    assert kept["customer_identifiers"] == {"cio_id": cio_id, "id": None, "email": None}
    shown = {one["customer_identifiers"]["cio_id"] for one in api.all("activities", "activities", limit=100)}
    assert cio_id not in shown


def test_metrics_that_appear_later_change_the_row_but_not_its_place(api: Api) -> None:
    before = api.all("messages", "messages", limit=1000)
    (changed,) = api.mutate("messages", "update")["ids"]
    after = api.all("messages", "messages", limit=1000)
    assert [one["id"] for one in before] == [one["id"] for one in after]
    old, new = ({one["id"]: one for one in page}[changed] for page in (before, after))
    assert old["metrics"].items() < new["metrics"].items()
    assert old["deduplicate_id"] != new["deduplicate_id"]


def test_changes_that_make_no_sense_are_refused(api: Api) -> None:
    for kind, action, wish in (
        ("people", "undelete", {}),
        ("activities", "delete", {}),
        ("people", "update", {"ids": ["nobody"]}),
        ("people", "update", {"fields": {"score": 7}}),
        ("messages", "update", {"fields": {"read": 1}}),
        ("campaigns", "create", {}),
    ):
        assert "error" in api.mutate(kind, action, **wish), (kind, action)


def test_an_export_is_pending_then_done_and_downloaded_as_csv(api: Api) -> None:
    made = api.post("exports/customers", {"filters": EVERYBODY["filter"]}).json()["export"]
    assert made["status"] == "pending"
    assert api.get(f"exports/{made['id']}/download").status_code == 404
    assert api.get(f"exports/{made['id']}").json()["export"]["status"] == "done"
    url = api.get(f"exports/{made['id']}/download").json()["url"]
    assert len(requests.get(url, timeout=30).text.splitlines()) == 121
    campaign = next(one["campaign_id"] for one in api.all("messages", "messages") if one["campaign_id"])
    mails = api.post("exports/deliveries", {"campaign_id": campaign}).json()["export"]
    assert mails["total"] == len(api.all("messages", f"campaigns/{campaign}/messages"))
    assert api.post("exports/deliveries", {}).status_code == 400
    assert len(api.get("exports").json()["exports"]) == 2


def test_ten_requests_a_second_are_served_and_the_next_is_told_to_wait() -> None:
    with running(SandboxOptions(vendors=("customerio",), sizes=SIZES)) as announcement:
        api = Api(announcement)
        answers = [api.get("workspaces") for _ in range(25)]
        api.http.close()
    statuses = [answer.status_code for answer in answers]
    assert statuses[:10] == [200] * 10
    throttled = next(answer for answer in answers if answer.status_code == 429)
    assert throttled.headers["Retry-After"] == "1"
    assert throttled.json() == {"errors": [{"detail": "rate limited to 10 requests per 1s", "status": "429"}]}


def test_changes_and_the_end_of_the_data_survive_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(vendors=("customerio",), sizes=SIZES, state_dir=tmp_path)

    def changed(announcement: dict[str, Any]) -> Any:
        api = Api(announcement)
        for kind in ("people", "messages", "activities"):
            api.mutate(kind, "create")
        api.mutate("people", "delete", count=2)
        api.mutate("messages", "update", count=3)
        found = api.control("GET", "truth?org=acme")
        api.http.close()
        return found

    with running(options) as announcement:
        before = changed(announcement)
    state = json.loads((tmp_path / "sandbox-state.json").read_text())
    state["vendors"]["customerio"]["anchor"] -= 7_200  # as if it had been started hours ago
    (tmp_path / "sandbox-state.json").write_text(json.dumps(state))
    with running(options) as announcement:
        api = Api(announcement)
        after = api.control("GET", "truth?org=acme&digest=false")["objects"]
        newest = api.get("messages", limit=1000).json()["messages"]
        api.http.close()
    assert {name: one["live"] for name, one in after.items()} == {
        name: one["live"] for name, one in before["objects"].items()
    }
    assert len(newest) == 151
