"""Every answer outside the good case: whose turn it is, what is said, and what is read all the same."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gtmc_pipelines.connectors.delivrai.dialect import Dialect
from gtmc_pipelines.connectors.delivrai.envelope import envelope_of
from gtmc_pipelines.connectors.delivrai.errors import BY_STATUS, BY_WORD, fault_of
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault
from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines_tests.connectors.delivrai_scene import COMPANIES, PUBLIC, SIGNALS, Organization
from gtmc_pipelines_tests.connectors.vendor_scene import full, ids_of, records_of

AUDIENCE: dict[str, Any] = {"profile": "public", "audience_id": "7", "limit": 40}
TOPIC: dict[str, Any] = {**PUBLIC, "limit": 40}
SECRETIVE = b'{"error":"kim@example.test may not","status":"x"}'


@pytest.fixture(scope="module")
def sandbox_of_delivrai() -> Iterator[dict[str, Any]]:
    sizes = {"signals": 130, "enriched_companies": 120, "delivrai_requests_per_second": 1_000}
    with running(SandboxOptions(vendors=("delivrai",), sizes=sizes)) as announcement:
        yield announcement


@pytest.fixture
def org(sandbox_of_delivrai: dict[str, Any]) -> Organization:
    found = Organization.of(sandbox_of_delivrai)
    found.ask("POST", "reset", {})
    return found


@pytest.mark.parametrize(("status", "word"), [*BY_WORD, *((status, "") for status in BY_STATUS)])
def test_each_row_of_the_table_gives_its_leaf_and_says_nothing_of_the_vendors(status: int, word: str) -> None:
    rule = BY_WORD[status, word] if word else BY_STATUS[status]
    body = json.dumps({"error": word, "message": "kim@example.test"}).encode() if word else SECRETIVE
    fault = fault_of(status, body, "api.delivr.ai/v1/x", "acme")
    assert type(fault) is rule.leaf
    assert fault.code == rule.code
    assert fault.next_step
    assert str(status) in fault.sentence
    assert "api.delivr.ai/v1/x" in fault.sentence
    assert "kim" not in str(fault)
    assert "<tenant>" not in str(fault)


@pytest.mark.parametrize(
    ("body", "cursor"),
    [
        ({"total_rows": 0, "has_more": False}, ""),
        ({"has_more": False, "next_cursor": None}, ""),
        ({"next_cursor": "later"}, "later"),
        ({"rows": None, "has_more": False}, ""),
        ({"response": {"total_rows": 0, "next_cursor": "later"}}, "later"),
    ],
)
def test_a_page_without_its_list_is_an_empty_one(body: dict[str, Any], cursor: str) -> None:
    found = envelope_of(json.dumps(body).encode(), Dialect())
    assert (found.records, found.cursor) == ([], cursor)


@pytest.mark.parametrize("body", [{}, {"status": "ok"}, {"has_more": False, "surprises": [{"id": 1}]}])
def test_a_page_with_its_list_elsewhere_is_no_empty_one(body: dict[str, Any]) -> None:
    with pytest.raises(Broken) as raised:
        envelope_of(json.dumps(body).encode(), Dialect())
    assert raised.value.code == "unparsable_page"


@pytest.mark.parametrize(("status", "leaf"), [(500, Retry), (504, Retry), (408, Retry), (418, Broken), (302, Broken)])
def test_an_unknown_status_is_judged_by_its_kind(status: int, leaf: type[SyncFault]) -> None:
    assert type(fault_of(status, b"<html>", "api.delivr.ai/v1/x")) is leaf


@pytest.mark.parametrize(
    ("fault", "leaf", "code"),
    [
        ("refused_key", Reauthorize, "key_refused"),
        ("forbidden", Reauthorize, "forbidden"),
        ("out_of_credit", Reauthorize, "out_of_credit"),
        ("bad_request", Broken, "bad_request"),
        ("malformed_page", Broken, "unparsable_page"),
        ("html_page", Broken, "unparsable_page"),
        ("foreign_next", Broken, "foreign_next_link"),
        ("cursor_loop", Broken, "cursor_loop"),
        ("fresh_cursor_loop", Broken, "cursor_loop"),
        ("busy", Retry, "vendor_unavailable"),
    ],
)
@pytest.mark.parametrize(("stream", "options"), [(SIGNALS, {"limit": 40}), (COMPANIES, TOPIC)])
def test_a_fault_of_the_vendor_is_raised_as_whose_turn_it_is(
    org: Organization, stream: str, options: dict[str, Any], fault: str, leaf: type[SyncFault], code: str
) -> None:
    org.break_(fault)
    with pytest.raises(leaf) as caught:
        org.read(stream, max_attempts=2, **options)
    assert caught.value.code == code
    assert caught.value.__cause__ is None


def test_a_loop_of_ever_new_cursors_costs_few_pages(org: Organization) -> None:
    org.break_("fresh_cursor_loop")
    with pytest.raises(Broken):
        org.read()
    assert len(org.requests("intent-signals")) <= 8


def test_busy_is_waited_for_as_long_as_the_vendor_asks(org: Organization) -> None:
    org.break_("busy", count=1, retry_after=9)
    assert len(records_of(org.read(COMPANIES, **AUDIENCE))) == 120
    assert [wait for wait in org.waits if 9 <= wait < 10] == org.waits


@pytest.mark.parametrize("options", [AUDIENCE, TOPIC], ids=["audience", "topic"])
def test_a_stale_cursor_reads_everything_again_from_the_beginning(org: Organization, options: dict[str, Any]) -> None:
    whole = ids_of(org.read(COMPANIES, **options))
    org.break_("cursor_stale", count=1)
    again = ids_of(org.read(COMPANIES, **options))
    assert set(again) == set(whole)
    assert again[-len(whole) :] == whole


def test_a_cursor_that_goes_stale_all_the_time_is_given_up_for_now(org: Organization) -> None:
    org.break_("cursor_stale")
    with pytest.raises(Retry) as caught:
        org.read(COMPANIES, **AUDIENCE)
    assert caught.value.code == "cursor_stale"
    assert len(org.requests("audiences")) <= 8


def test_an_audience_that_is_being_built_is_asked_again_later(org: Organization) -> None:
    org.break_("not_ready")
    with pytest.raises(Retry) as caught:
        org.read(COMPANIES, **AUDIENCE)
    assert caught.value.code == "audience_not_ready"


@pytest.mark.parametrize("stream", [SIGNALS, COMPANIES])
def test_a_record_without_an_id_is_rejected_and_its_neighbours_are_read(org: Organization, stream: str) -> None:
    whole = set(ids_of(org.read(stream)))
    org.break_("record_without_id", count=1)
    pages = org.read(stream)
    assert [reject.reason_code for page in pages for reject in page.rejects] == ["missing_id"]
    assert set(ids_of(pages)) < whole
    assert len(ids_of(pages)) == len(whole) - 1


def test_a_record_that_comes_twice_is_read_once(org: Organization) -> None:
    org.break_("repeated_record")
    pages = org.read(limit=40)
    assert ids_of(pages) == [signal["id"] for signal in org.truth()]
    assert sum(page.skipped for page in pages) == 4


@pytest.mark.parametrize("key", ["items", "signals"])
def test_records_are_found_under_each_of_their_keys(org: Organization, key: str) -> None:
    org.break_("list_key", key=key)
    assert len(records_of(org.read())) == 130


def test_records_under_a_key_nobody_knows_are_found_when_it_is_named(org: Organization) -> None:
    org.break_("list_key", key="rowsOfPage")
    with pytest.raises(Broken):
        org.read()
    assert len(records_of(org.read(list_key="rowsOfPage"))) == 130


def test_an_empty_page_with_a_cursor_goes_on(org: Organization) -> None:
    org.break_("empty_page", count=2)
    assert len(records_of(org.read(limit=40))) == 130


@pytest.mark.parametrize("options", [{}, PUBLIC], ids=["internal", "public"])
def test_a_health_check_says_what_was_asked_and_never_raises(org: Organization, options: dict[str, Any]) -> None:
    good = org.health(**options)
    assert good.is_healthy
    bad = org.health(keys={"api_key": "dlvr_x", "api_secret": "y"}, **options)
    assert not bad.is_healthy
    assert bad.url.endswith("/api/v1/whoami" if options else "/v1/health")
    assert "refused the key (401 from 127.0.0.1/" in bad.detail
    assert "dlvr_x" not in bad.detail


def test_the_public_profile_needs_its_secret(org: Organization) -> None:
    with pytest.raises(Reauthorize) as caught:
        org.session(keys={"api_key": org.keys["api_key"]}, **PUBLIC)
    assert caught.value.code == "not_connected"
    assert "api_secret" in caught.value.sentence


def test_a_stored_checkpoint_that_is_damaged_is_said_so(org: Organization) -> None:
    with pytest.raises(Broken) as caught:
        org.read(start=full("{"))
    assert caught.value.code == "bad_checkpoint"


def test_the_public_profile_says_which_choice_is_missing(org: Organization) -> None:
    with pytest.raises(Broken) as caught:
        org.read(COMPANIES, profile="public")
    assert caught.value.code == "topic_not_chosen"
    health = org.health(profile="public")
    assert not health.is_healthy
    assert "neither is chosen" in health.detail


@pytest.mark.parametrize("options", [{"profile": "other"}, {"limit": "many"}, {"base_url": "http://10.0.0.1"}])
def test_an_option_that_cannot_be_is_refused_before_any_call(org: Organization, options: dict[str, Any]) -> None:
    with pytest.raises(Broken) as caught:
        org.session(**options)
    assert caught.value.code == "bad_option"
    assert not org.requests()
