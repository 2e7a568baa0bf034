"""A query the vendor finds too heavy is asked again in pieces; other walks end where they should."""

import json
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from gtmc_pipelines.connectors.salesforce.api import SalesforceSession, open_session
from gtmc_pipelines.connectors.salesforce.rest_pages import SMALLEST_LIMIT
from gtmc_pipelines.connectors.salesforce.streams import read_stream
from gtmc_pipelines.model.errors import Broken, Retry
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.salesforce_scene import NotedCredentials, pages_of
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of

FIELDS = [
    {"name": "Id", "type": "id"},
    {"name": "SystemModstamp", "type": "datetime"},
    {"name": "Name", "type": "string"},
]
TIMEOUT = answer(400, b'[{"errorCode":"QUERY_TIMEOUT","message":"Your query request was running for too long."}]')


def _record(number: int) -> dict[str, Any]:
    return {
        "attributes": {"type": "Account"},
        "Id": f"001{number:012d}AAA",
        "SystemModstamp": f"2026-01-15T09:{number // 60:02d}:{number % 60:02d}.000+0000",
    }


def _query(soql: Callable[[str], list[int] | None]) -> Callable[[BaseHTTPRequestHandler], None]:
    """Answers describe, and queries by `soql`: record numbers, or None for a time-out."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        parts = urllib.parse.urlsplit(handler.path)
        if parts.path.endswith("/describe"):
            answer(200, json.dumps({"fields": FIELDS}).encode())(handler)
            return
        numbers = soql(urllib.parse.parse_qs(parts.query)["q"][0])
        if numbers is None:
            TIMEOUT(handler)
            return
        body = {"totalSize": len(numbers), "done": True, "records": [_record(number) for number in numbers]}
        answer(200, json.dumps(body).encode())(handler)

    return send


def _session(vendor: ScriptedVendor) -> SalesforceSession:
    credentials = NotedCredentials({"access_token": Secret("00D!x"), "instance_url": Secret(f"http://{vendor.host}")})
    settings = replace(vendor.settings(max_attempts=2), options={"bulk_threshold": 10**9})
    return open_session(credentials, settings, sleep=lambda seconds: None)


def test_a_query_that_times_out_is_asked_in_pieces_that_add_up(vendor: ScriptedVendor) -> None:
    asked: list[str] = []

    def soql(text: str) -> list[int] | None:
        asked.append(text)
        if "COUNT()" in text:
            return []
        limit = int(text.rpartition("LIMIT ")[2]) if "LIMIT" in text else None
        if limit is None or limit > 2000:
            return None
        after = int(text.partition("Id > '001")[2][:12]) if "Id >" in text else -1
        return list(range(after + 1, min(after + 1 + 3, 8)))

    vendor.script.append(_query(soql))
    pages = pages_of(_session(vendor), "accounts", full())
    assert [record.external_id for record in records_of(pages)] == [_record(number)["Id"] for number in range(8)]
    limits = [text.rpartition("LIMIT ")[2] for text in asked if "LIMIT" in text]
    assert limits[:3] == ["8000", "4000", "2000"]
    assert set(limits[2:]) == {"2000"}
    resumed = pages_of(_session(vendor), "accounts", full(pages[0].checkpoint))
    assert records_of(resumed) == records_of(pages[1:])


def test_a_query_that_always_times_out_is_given_up_at_the_smallest_piece(vendor: ScriptedVendor) -> None:
    limits: list[str] = []

    def soql(text: str) -> list[int] | None:
        limits.append(text.rpartition("LIMIT ")[2] if "LIMIT" in text else "")
        return [] if "COUNT()" in text else None

    vendor.script.append(_query(soql))
    with pytest.raises(Retry) as caught:
        pages_of(_session(vendor), "accounts", full())
    assert caught.value.code == "query_timeout"
    assert limits[-1] == str(SMALLEST_LIMIT)
    assert len(limits) <= 9


def test_pieces_that_do_not_move_on_are_a_loop(vendor: ScriptedVendor) -> None:
    vendor.script.append(_query(lambda text: [] if "COUNT()" in text else [1] if "LIMIT" in text else None))
    pages = read_stream(_session(vendor), "accounts", full())
    first = next(pages)
    assert len(first.records) == 1
    with pytest.raises(Broken) as caught:
        next(pages)
    assert caught.value.code == "cursor_loop"


def test_no_call_pretty_prints_and_every_call_carries_the_token(vendor: ScriptedVendor) -> None:
    vendor.script.append(_query(lambda text: []))
    pages_of(_session(vendor), "accounts", full())
    assert len(vendor.seen) == 3
    for _, headers in vendor.seen:
        assert "X-PrettyPrint" not in headers
        assert headers["Authorization"] == "Bearer 00D!x"


@pytest.mark.parametrize(
    ("header", "gauges"),
    [
        ("api-usage=18/15000", (18, 15000)),
        ("api-usage=25/15000; per-app-api-usage=17/250(appName=x)", (25, 15000)),
        ("api-bursts=1/750; api-usage=7/15000; per-app-api-usage=17/250(appName=x)", (7, 15000)),
        ("per-app-api-usage=17/250(appName=x)", None),
    ],
)
def test_usage_is_found_wherever_it_stands(vendor: ScriptedVendor, header: str, gauges: tuple[int, int] | None) -> None:
    vendor.script.append(answer(200, b'{"DailyApiRequests":{"Max":15000,"Remaining":1}}', Sforce_Limit_Info=header))
    session = _session(vendor)
    session.limits()
    usage = session.usage
    assert usage["requests"] == 1
    assert (usage.get("api_used"), usage.get("api_limit")) == (gauges or (None, None))
