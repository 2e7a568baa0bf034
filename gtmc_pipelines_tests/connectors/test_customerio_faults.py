"""Faults of the imitated Customer.io, each ending as the error table says; and what is never kept of a mail."""

import json

import pytest

from gtmc_pipelines.connectors.customerio.streams import READERS, read_stream
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry
from gtmc_pipelines_tests.connectors.customerio_scene import Workspace
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of, soon

pytestmark = pytest.mark.services

PATHS = {"people": "/customers$", "email_events": "/messages$", "behavioral_events": "/activities$"}
STREAMS = list(READERS)
each_stream = pytest.mark.parametrize("stream", STREAMS)


@each_stream
def test_a_cursor_that_leads_back_is_noticed_after_one_page_more_at_most(workspace: Workspace, stream: str) -> None:
    whole = len(workspace.pages(stream, full()))
    before = len(workspace.requests(PATHS[stream][:-1]))
    workspace.break_("cursor_loop", path=PATHS[stream], after=1)
    with pytest.raises(Broken) as caught:
        list(read_stream(workspace.session(), stream, full()))
    assert caught.value.code == "cursor_loop"
    assert len(workspace.requests(PATHS[stream][:-1])) - before <= whole + 2


@each_stream
def test_a_next_page_on_another_host_is_refused(workspace: Workspace, stream: str) -> None:
    workspace.break_("foreign_next", path=PATHS[stream], url="https://attacker.example/v1/next")
    with pytest.raises(Broken) as caught:
        list(read_stream(workspace.session(), stream, full()))
    assert caught.value.code == "foreign_next_link"
    assert "attacker" not in str(caught.value)


@each_stream
def test_an_empty_page_with_a_next_one_goes_on(workspace: Workspace, stream: str) -> None:
    expected = records_of(workspace.pages(stream, full(until=(until := soon()))))
    workspace.break_("empty_page", path=PATHS[stream], count=1, after=1)
    found = records_of(workspace.pages(stream, full(until=until)))
    assert found == expected


@each_stream
def test_null_in_place_of_an_empty_list_is_an_empty_page(workspace: Workspace, stream: str) -> None:
    expected = records_of(workspace.pages(stream, full(until=(until := soon()))))
    workspace.break_("null_arrays")
    workspace.break_("empty_page", path=PATHS[stream], count=1, after=1)
    assert records_of(workspace.pages(stream, full(until=until))) == expected


@each_stream
def test_a_page_shown_twice_gives_each_record_once(workspace: Workspace, stream: str) -> None:
    expected = records_of(workspace.pages(stream, full(until=(until := soon()))))
    workspace.break_("page_replay", path=PATHS[stream], after=3)
    found = records_of(workspace.pages(stream, full(until=until)))
    assert found == expected


@each_stream
def test_a_page_that_breaks_off_is_unparsable(workspace: Workspace, stream: str) -> None:
    workspace.break_("malformed_page", path=PATHS[stream])
    with pytest.raises(Broken) as caught:
        list(read_stream(workspace.session(), stream, full()))
    assert caught.value.code == "unparsable_page"


@each_stream
def test_a_record_without_an_id_is_rejected_alone(workspace: Workspace, stream: str) -> None:
    until = soon()
    expected = len(records_of(workspace.pages(stream, full(until=until))))
    workspace.break_("record_without_id", path=PATHS[stream], count=1)
    pages = workspace.pages(stream, full(until=until))
    rejects = [reject for page in pages for reject in page.rejects]
    assert [reject.reason_code for reject in rejects] == ["missing_id"]
    assert sum(len(page.records) for page in pages) >= expected - 3


def test_a_person_without_an_id_among_attributes_is_rejected_alone(workspace: Workspace) -> None:
    workspace.break_("record_without_id", path="/attributes", count=1)
    pages = workspace.pages("people", full())
    assert [reject.reason_code for page in pages for reject in page.rejects] == ["missing_id"]
    assert len(records_of(pages)) == 229


@each_stream
def test_a_cursor_that_expired_costs_the_list_again_and_no_record(workspace: Workspace, stream: str) -> None:
    pages = workspace.pages(stream, full(until=(until := soon())))
    at = next(n for n, page in enumerate(pages) if page.checkpoint and '"start"' in page.checkpoint)
    workspace.break_("stale_start", count=1)
    again = workspace.pages(stream, full(pages[at].checkpoint, until))
    rest = {record.external_id for record in records_of(pages[at + 1 :])}
    assert rest <= {record.external_id for record in records_of(again)}


@pytest.mark.parametrize(
    ("fault", "wish", "error", "code"),
    [
        ("expired_key", {}, Reauthorize, "key_refused"),
        ("forbidden", {}, Reauthorize, "forbidden"),
        ("daily_quota", {}, Defer, "daily_quota"),
        ("meta_error", {"status": 400}, Broken, "bad_request"),
        ("meta_error", {"status": 402}, Reauthorize, "account_suspended"),
        ("meta_error", {"status": 404}, Broken, "not_found"),
        ("meta_error", {"status": 422}, Broken, "bad_request"),
        ("meta_error", {"status": 418}, Broken, "unexpected_answer"),
        ("server_error", {"status": 501}, Retry, "vendor_unavailable"),
        ("server_error", {"status": 503}, Retry, "vendor_unavailable"),
        ("server_error", {"status": 502, "body": "html"}, Retry, "vendor_unavailable"),
        ("html_page", {}, Retry, "vendor_unavailable"),
        ("cut", {}, Retry, "vendor_unreachable"),
        ("rate_limit", {"retry_after": 7200}, Retry, "vendor_throttled"),
        ("rate_limit", {"retry_after": None}, Retry, "vendor_throttled"),
    ],
)
@each_stream
def test_every_fault_is_of_the_leaf_whose_turn_it_is(
    workspace: Workspace, stream: str, fault: str, wish: dict[str, object], error: type[Exception], code: str
) -> None:
    workspace.break_(fault, path=PATHS[stream], **wish)
    with pytest.raises(error) as caught:
        list(read_stream(workspace.session(), stream, full()))
    assert getattr(caught.value, "code", "") == code
    assert workspace.keys["api_key"] not in str(caught.value)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_wish_to_wait_is_obeyed_and_the_read_goes_on(workspace: Workspace, form: str) -> None:
    workspace.break_("rate_limit", path="/activities", count=1, retry_after=2, retry_after_form=form)
    assert records_of(workspace.pages("behavioral_events", full()))
    assert any(wait >= 1 for wait in workspace.waits)


def test_pages_before_a_fault_are_given_first(workspace: Workspace) -> None:
    good = workspace.pages("people", full(until=(until := soon())))
    workspace.break_("expired_key", path=PATHS["people"], after=3)
    read = read_stream(workspace.session(), "people", full(until=until))
    pages = [next(read) for _ in range(3)]
    assert pages == good[:3]
    with pytest.raises(Reauthorize):
        next(read)
    workspace.mend()
    assert workspace.pages("people", full(pages[-1].checkpoint, until)) == good[3:]


def test_nothing_a_mail_said_is_ever_kept_or_asked_for(workspace: Workspace) -> None:
    workspace.break_("body_in_answer")
    records = records_of(workspace.pages("email_events", full()))
    forbidden = {"content", "headers", "body", "subject", "recipient", "failure_message"}
    for record in records:
        assert not forbidden & json.loads(record.payload).keys()
        assert b"SECRET" not in record.payload
    assert not workspace.requests("archived")
