"""The imitated Delivr.ai: both contracts, their keys and refusals, the same people as elsewhere, and its memory."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.sandbox.world import World

DAY_MS = 86_400_000


@dataclass
class Api:
    """One organization's keys at one sandbox."""

    base: str
    org: dict[str, str]

    def ask(self, path: str, body: Any = None, *, keys: dict[str, str] | None = None) -> tuple[int, Any, Any]:
        """Status, body and headers of an answer."""
        headers = {"X-Api-Key": self.org["api_key"], "X-Api-Secret": self.org["api_secret"]} if keys is None else keys
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), error.headers

    def control(self, path: str, body: Any) -> Any:
        status, answer, _ = self.ask(f"/_sandbox/{path}", body)
        assert status == 200, answer
        return answer

    def events(self, start_ms: int, end_ms: int, more: str = "") -> tuple[int, Any, Any]:
        scope = f"project_id={self.org['project_id']}"
        return self.ask(f"/api/v1/events?{scope}&start_ms={start_ms}&end_ms={end_ms}{more}")


def api_of(announcement: dict[str, Any]) -> Api:
    vendor = announcement["vendors"]["delivrai"]
    return Api(vendor["http"], vendor["credentials"]["orgs"]["acme"])


@pytest.fixture
def api() -> Iterator[Api]:
    with running(SandboxOptions(vendors=("delivrai",))) as announcement:
        yield api_of(announcement)


def test_the_platforms_contract_takes_the_key_alone(api: Api) -> None:
    status, answer, headers = api.ask("/v1/health", keys={"X-Api-Key": api.org["api_key"]})
    assert (status, answer) == (200, {"status": "ok"})
    assert headers["X-RateLimit-Limit"] == "25"
    assert int(headers["X-RateLimit-Remaining"]) > 40
    assert api.ask("/v1/health", keys={})[0] == 401


def test_the_public_api_wants_the_secret_too(api: Api) -> None:
    assert api.ask("/api/v1/whoami", keys={"X-Api-Key": api.org["api_key"]})[0] == 401
    status, answer, _ = api.ask("/api/v1/whoami")
    assert status == 200
    assert [project["project_id"] for project in answer["response"]["projects"]] == [api.org["project_id"]]


def test_signals_come_in_pages_in_order_of_time_and_each_once(api: Api) -> None:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        _, page, _ = api.ask(f"/v1/intent-signals?since=2020-01-01T00:00:00Z&limit=30{cursor}")
        found += page["data"]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert len({signal["id"] for signal in found}) == len(found) == 200
    assert [signal["occurredAt"] for signal in found] == sorted(signal["occurredAt"] for signal in found)
    assert set(found[0]) == {
        *("id", "personId", "personEmail", "accountDomain", "contentUrl", "contentTopic", "occurredAt"),
        *("dwellTimeSeconds", "sessionId"),
    }


def test_people_and_companies_are_the_worlds(api: Api) -> None:
    world = World(7, "acme")
    _, page, _ = api.ask("/v1/intent-signals?since=2020-01-01T00:00:00Z")
    for signal in page["data"]:
        person = world.person(int(signal["personId"].removeprefix("p_")))
        assert signal["personEmail"] in (None, person.email)
        assert signal["accountDomain"].lower() == world.company(person.company).domain
    _, page, _ = api.ask("/v1/company-enrichment")
    assert [one["domain"].lower() for one in page["data"]] == [world.company(n).domain for n in range(100)]


def test_a_signal_made_late_stands_where_it_happened(api: Api) -> None:
    (made,) = api.control(
        "mutate", {"org": "acme", "object": "IntentSignal", "action": "create", "stamp": "2021-01-01T00:00:00Z"}
    )["ids"]
    _, page, _ = api.ask("/v1/intent-signals?since=2020-12-31T00:00:00Z&limit=1")
    assert [signal["id"] for signal in page["data"]] == [made]


@pytest.mark.parametrize(("hours", "status"), [(25, 200), (26, 400)])
def test_a_window_of_more_than_twenty_five_hours_is_refused(api: Api, hours: int, status: int) -> None:
    assert api.events(1_767_225_600_000, 1_767_225_600_000 + hours * 3_600_000)[0] == status


def test_events_hold_the_same_signals_without_dwell_time(api: Api) -> None:
    _, page, _ = api.ask("/v1/intent-signals?since=2020-01-01T00:00:00Z&limit=500")
    last = page["data"][-1]
    number = last["id"].removeprefix("sig_")
    _, truth, _ = api.ask("/_sandbox/truth?org=acme&object=IntentSignal&offset=199&limit=1")
    assert truth["records"] == [last]
    at = _ms(last["occurredAt"])
    _, answer, _ = api.events(at - DAY_MS, at, "&include_enrichment=true")
    assert answer["rows"][-1]["event_id"] == f"ev_{number}"
    assert answer["rows"][-1]["company_domain"] == last["accountDomain"]
    assert "dwell_time_seconds" not in answer["rows"][-1]
    _, counted, _ = api.ask(
        f"/api/v1/event_counts?project_id={api.org['project_id']}&start_ms={at - DAY_MS}&end_ms={at}"
    )
    assert counted["count"] == len(answer["rows"])


def test_the_last_page_of_intent_has_no_cursor_and_only_the_first_a_count(api: Api) -> None:
    _, first, _ = api.ask("/api/v1/intent/companies", {"topic_id": "4eyes_112", "page_size": 100})
    assert first["response"]["count"] == 150
    cursor = first["response"]["next_cursor"]
    _, last, _ = api.ask("/api/v1/intent/companies", {"topic_id": "4eyes_112", "page_size": 100, "cursor": cursor})
    assert "next_cursor" not in last["response"]
    assert "count" not in last["response"]
    assert len(first["response"]["results"]) + len(last["response"]["results"]) == 150


def test_conflicts_and_business_are_worded_as_the_vendors(api: Api) -> None:
    path = "/api/v1/audiences/7/records?page_size=100"
    cursor = api.ask(path)[1]["next_cursor"]
    for fault, where, status, word in (
        ("not_ready", path, 409, "not_ready"),
        ("cursor_stale", f"{path}&cursor={cursor}", 409, "cursor_stale"),
        ("busy", path, 503, "busy"),
        ("out_of_credit", path, 402, "out of credit"),
    ):
        api.control("knobs", {"fault": fault, "count": 1})
        found, answer, headers = api.ask(where)
        assert (found, answer["error"]) == (status, word)
        assert status != 503 or headers["Retry-After"] == "1"


def test_more_requests_than_allowed_are_throttled(api: Api) -> None:
    statuses = [api.ask("/v1/health")[0] for _ in range(120)]
    assert set(statuses) == {200, 429}
    assert statuses[:50] == [200] * 50


def test_changes_outlive_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(vendors=("delivrai",), state_dir=tmp_path)
    with running(options) as announcement:
        api = api_of(announcement)
        wish = {"org": "acme", "object": "Company", "action": "update", "fields": {"industry": "Space"}}
        (domain,) = api.control("mutate", wish)["ids"]
        api.control("mutate", {"org": "acme", "object": "IntentSignal", "action": "create", "count": 3})
        before = api.ask("/_sandbox/truth?org=acme")[1]
    with running(options) as announcement:
        api = api_of(announcement)
        assert api.ask("/_sandbox/truth?org=acme")[1] == before
        _, page, _ = api.ask("/v1/company-enrichment?limit=1")
        assert (page["data"][0]["domain"].lower(), page["data"][0]["industry"]) == (domain, "Space")


def test_what_cannot_be_changed_is_said_in_one_sentence(api: Api) -> None:
    for wish in (
        {"object": "IntentSignal", "action": "delete"},
        {"object": "IntentSignal", "action": "update", "fields": {"id": "x"}},
        {"object": "Company", "action": "update", "fields": {"domain": "x"}},
        {"object": "Company", "action": "update", "ids": ["nowhere.example"]},
        {"object": "Person", "action": "create"},
    ):
        status, answer, _ = api.ask("/_sandbox/mutate", {"org": "acme", **wish})
        assert status == 400
        assert answer["error"].endswith(".")


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
