"""What goes wrong at Fathom ends in the right leaf, loses nothing and says nothing of anybody."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gtmc_pipelines.connectors.fathom.connector import FathomConnector
from gtmc_pipelines.connectors.fathom.errors import BY_STATUS, fault_of
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault
from gtmc_pipelines_tests.connectors.fathom_scene import Account, ago, assert_is_truth
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer
from gtmc_pipelines_tests.connectors.vendor_scene import full, ids_of, records_of, soon

pytestmark = pytest.mark.services


def _fault(account: Account, leaf: type[SyncFault], **options: Any) -> SyncFault:
    with pytest.raises(leaf) as caught:
        account.read(**options)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize(
    ("status", "leaf", "code"),
    [
        (400, Broken, "bad_request"),
        (401, Reauthorize, "key_refused"),
        (402, Reauthorize, "plan_lacks_api"),
        (403, Reauthorize, "forbidden"),
        (404, Broken, "not_found"),
        (408, Retry, "vendor_unavailable"),
        (418, Broken, "unexpected_answer"),
        (429, Retry, "vendor_throttled"),
        (500, Retry, "vendor_unavailable"),
        (503, Retry, "vendor_unavailable"),
    ],
)
def test_every_status_has_its_leaf_and_a_next_step(status: int, leaf: type[SyncFault], code: str) -> None:
    fault = fault_of(status)
    assert isinstance(fault, leaf)
    assert fault.code == code
    assert fault.next_step
    assert str(status) in fault.sentence
    assert set(BY_STATUS) <= {400, 401, 402, 403, 404, 408, 429}


@pytest.mark.parametrize("body", [b'{"items":null,"next_cursor":null}', b'{"items":null}', b'{"limit":10}'])
def test_a_page_whose_items_are_null_is_an_empty_one(vendor: ScriptedVendor, body: bytes) -> None:
    vendor.script.append(answer(200, body))
    (page,) = Account(f"http://{vendor.host}", {"api_key": "key-1"}, "", "").read()
    assert (page.read, page.checkpoint) == (0, None)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_no_body_of_the_vendor_gets_into_an_error(vendor: ScriptedVendor, status: int) -> None:
    account = Account(f"http://{vendor.host}", {"api_key": "key-1"}, "", "")
    vendor.script.append(answer(status, b"Kim Lee said: secret"))
    settings = account.settings()
    assert settings.ca_file == ""
    fault = _fault(account, SyncFault)
    assert "Kim" not in repr(fault) + str(fault)
    assert "key-1" not in repr(fault)


def test_a_withdrawn_key_asks_the_user_after_one_call(fathom: Account) -> None:
    fathom.break_("key_refused")
    fault = _fault(fathom, Reauthorize)
    assert fault.code == "key_refused"
    assert "gtmc connectors connect --tenant acme" in fault.next_step
    assert len(fathom.requests()) == 1


@pytest.mark.parametrize("key", ["ä", "two\nlines"])
def test_a_key_no_header_can_carry_asks_the_user_without_a_call(fathom: Account, key: str) -> None:
    with pytest.raises(Reauthorize) as caught:
        fathom.session(key)
    assert caught.value.code == "not_connected"
    assert not fathom.requests()


def test_an_unhealthy_answer_is_no_exception(fathom: Account) -> None:
    session = fathom.session("wrong-key")
    health = FathomConnector().health_check(session)
    session.close()
    assert not health.is_healthy
    assert "API key" in health.detail
    assert health.url.endswith("/external/v1/teams")


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_throttled_request_waits_as_asked(fathom: Account, form: str) -> None:
    fathom.break_("rate_limit", count=1, after=1, retry_after=8, retry_after_form=form)
    assert_is_truth(fathom.read(), fathom.truth())
    assert len(fathom.waits) == 1
    assert 7.5 <= fathom.waits[0] <= 9.6


def test_without_retry_after_the_rest_of_the_window_is_waited(fathom: Account) -> None:
    fathom.break_("rate_limit", count=1, retry_after=None)
    assert_is_truth(fathom.read(), fathom.truth())
    assert len(fathom.waits) == 1
    assert 2.0 <= fathom.waits[0] <= 2.6


def test_a_storm_of_throttling_ends_in_a_retry_of_known_length(fathom: Account) -> None:
    fathom.break_("rate_limit", retry_after=2)
    fault = _fault(fathom, Retry, max_attempts=4)
    assert isinstance(fault, Retry)
    assert (fault.code, fault.after_seconds) == ("vendor_throttled", 2)
    assert len(fathom.waits) == 3


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "server_error", "status": 500, "every": 2},
        {"fault": "server_error", "status": 503, "body": "html", "every": 2},
        {"fault": "html_page", "count": 2},
        {"fault": "cut", "every": 2},
    ],
    ids=["500", "503-html", "maintenance-page", "cut"],
)
@pytest.mark.parametrize("mode", ["list", "recordings"])
def test_transient_trouble_costs_only_retries(fathom: Account, fault: dict[str, Any], mode: str) -> None:
    fathom.break_(**fault)
    assert_is_truth(fathom.read(include_mode=mode), fathom.truth())
    assert fathom.waits


@pytest.mark.parametrize(
    "url",
    ["https://attacker.example/external/v1/meetings", "//attacker.example", "http://127.0.0.1:1/", "eyJ9\r\nX: y"],
)
def test_a_foreign_next_link_is_not_followed(fathom: Account, url: str) -> None:
    fathom.break_("foreign_next", url=url)
    assert _fault(fathom, Broken).code == "foreign_next_link"
    assert len(fathom.requests()) == 1


@pytest.mark.parametrize("after", [0, 1, 2])
def test_pages_that_loop_are_noticed_after_one_extra_page(fathom: Account, after: int) -> None:
    fathom.break_("cursor_loop", after=after)
    assert _fault(fathom, Broken).code == "cursor_loop"
    assert len(fathom.requests("/meetings")) <= after + 2


def test_the_same_page_under_ever_new_cursors_is_a_loop(vendor: ScriptedVendor) -> None:
    account = Account(f"http://{vendor.host}", {"api_key": "key-1"}, "", "")
    for number in range(5):
        page = {"items": [{"recording_id": 7}], "next_cursor": f"page{number}"}
        vendor.script.append(answer(200, json.dumps(page).encode()))
    assert _fault(account, Broken).code == "cursor_loop"
    assert len(vendor.seen) == 3


@pytest.mark.parametrize("after", [0, 1])
def test_an_empty_page_with_a_next_link_is_just_a_page(fathom: Account, after: int) -> None:
    fathom.break_("empty_page", count=1, after=after)
    assert_is_truth(fathom.read(), fathom.truth())


def test_an_unparsable_page_is_one_sentence(fathom: Account) -> None:
    fathom.break_("malformed_page")
    fault = _fault(fathom, Broken)
    assert fault.code == "unparsable_page"
    assert fault.next_step


def test_a_meeting_without_an_id_is_rejected_and_its_neighbours_are_read(fathom: Account) -> None:
    fathom.break_("record_without_id", count=1)
    pages = fathom.read()
    assert [reject.reason_code for page in pages for reject in page.rejects] == ["missing_id"]
    assert len(records_of(pages)) == len(fathom.truth()) - 1 == sum(page.read for page in pages) - 1


@pytest.mark.parametrize(
    "item", [b'{"recording_id": null}', b'{"recording_id": ""}', b'{"recording_id": "a/../b"}', b"7", b'"x"', b"null"]
)
def test_what_is_no_meeting_is_rejected_without_its_text(vendor: ScriptedVendor, item: bytes) -> None:
    account = Account(f"http://{vendor.host}", {"api_key": "key-1"}, "", "")
    vendor.script.append(answer(200, b'{"items":[{"recording_id":"r-1"},' + item + b"]}"))
    (page,) = account.read()
    assert [record.external_id for record in page.records] == ["r-1"]
    assert [reject.external_id for reject in page.rejects] == [None]


def test_a_cursor_that_is_not_known_any_more_starts_the_walk_again(fathom: Account) -> None:
    until = soon()
    first = fathom.read(full(until=until))[0]
    assert first.checkpoint is not None
    lost = json.dumps({**json.loads(first.checkpoint), "cursor": "bm9uc2Vuc2U="})
    assert_is_truth(fathom.read(full(lost, until)), fathom.truth())


@pytest.mark.parametrize("checkpoint", ["", "{", '{"cursor":"https://attacker.example/"}', '{"cursor":7}'])
def test_a_damaged_checkpoint_or_watermark_is_one_sentence(fathom: Account, checkpoint: str) -> None:
    start = full(checkpoint or None)
    if not checkpoint:
        start = type(start)(start.mode.INCREMENTAL, start.until, "yesterday")
    with pytest.raises(Broken) as caught:
        fathom.read(start)
    assert caught.value.code in {"bad_checkpoint", "bad_watermark", "foreign_next_link"}


def test_unknown_and_missing_members_are_none_of_the_readers_business(fathom: Account) -> None:
    fathom.break_("extra_field")
    fathom.break_("dropped_field", field="calendar_invitees")
    payloads = [json.loads(record.payload) for record in records_of(fathom.read())]
    assert {one["surprise"] for one in payloads} == {"surprise"}
    assert not any("calendar_invitees" in one for one in payloads)


def test_a_recording_that_vanishes_between_list_and_transcript_has_none(fathom: Account) -> None:
    (made,) = fathom.mutate("create", stamp=ago(minutes=5))
    fathom.break_("late_transcript", path=made)
    records = {one.external_id: json.loads(one.payload) for one in records_of(fathom.read(include_mode="recordings"))}
    assert records[made]["transcript"] is None
    assert made in ids_of(fathom.read())
