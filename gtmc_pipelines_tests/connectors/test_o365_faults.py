"""Content nobody asked for, empty lists, refused tokens, strange links: the read stops or goes on; nothing leaks."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from gtmc_pipelines.connectors.o365.connector import O365Connector
from gtmc_pipelines.connectors.o365.errors import BY_CODE, BY_STATUS, LOGIN, error_code, login_fault_of, refusal_of
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault
from gtmc_pipelines.model.records import Page
from gtmc_pipelines_tests.connectors.o365_scene import STREAM, Directory, full, pages_of, since
from gtmc_pipelines_tests.connectors.vendor_scene import records_of

pytestmark = pytest.mark.services

LEAKS = [["subject"], ["bodyPreview"], ["body"], ["uniqueBody"], ["attachments"], ["subject", "body", "attachments"]]


@pytest.mark.parametrize("fields", LEAKS, ids=lambda fields: "+".join(fields))
@pytest.mark.parametrize("only", [True, False], ids=["one message", "every message"])
def test_content_stops_the_read_and_no_byte_of_it_goes_anywhere(
    directory: Directory, caplog: pytest.LogCaptureFixture, fields: list[str], only: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    directory.break_("leak_body", fields=fields, only=only, after=2)
    pages: list[Page] = []
    key = directory.mailbox()
    with directory.session() as session, pytest.raises(Broken) as raised:
        pages.extend(O365Connector().read(session, STREAM, full(key)))
    fault = raised.value
    assert fault.code == "privacy_fault"
    assert fault.__cause__ is None
    told = caplog.text + repr(fault) + str(fault) + "".join(repr(page) for page in pages)
    for secret in ("secret number", "Quick question", "Next steps", "Agenda for", "Invoice 4711", "offer.pdf"):
        assert secret not in told


def test_content_is_a_fault_even_where_nothing_of_the_page_would_be_kept(directory: Directory) -> None:
    directory.break_("leak_body", fields=["subject"])
    with directory.session(allowed_domains=["nobody.example"]) as session, pytest.raises(Broken) as raised:
        pages_of(session, full(directory.mailbox()))
    assert raised.value.code == "privacy_fault"


@pytest.mark.parametrize("lists", [{"allowed_domains": []}, {"allowed_domains": ["acme.example"]}])
def test_with_nothing_allowed_nothing_is_asked(directory: Directory, lists: dict[str, Any]) -> None:
    with directory.session(**lists) as session:
        assert O365Connector().slices(session, STREAM) == ()
        (page,) = pages_of(session, full("any"))
        assert page.read == 0
        (page,) = pages_of(session, since("any", "kept as it is"))
        assert page.watermark == "kept as it is"
    assert directory.requests() == []


def test_a_token_that_expired_is_renewed_once_and_the_call_made_again(directory: Directory) -> None:
    with directory.session() as session:
        session.get(f"{session.base_url}/users?$top=1")
        directory.break_("expired_token", count=1)
        assert pages_of(session, full(directory.mailbox()))
    assert len(directory.requests("/oauth2/v2.0/token")) == 2


def test_a_fresh_token_that_is_refused_asks_the_user(directory: Directory) -> None:
    directory.break_("expired_token")
    with directory.session() as session, pytest.raises(Reauthorize) as raised:
        O365Connector().slices(session, STREAM)
    assert raised.value.code == "token_refused"
    assert len(directory.requests("/users")) == 2


def test_a_directory_that_withdrew_its_consent_asks_the_user(directory: Directory) -> None:
    directory.break_("app_unknown")
    with directory.session() as session:
        health = O365Connector().health_check(session)
        assert not health.is_healthy
        assert "gtmc connectors connect" in health.detail
        with pytest.raises(Reauthorize) as raised:
            O365Connector().slices(session, STREAM)
    assert raised.value.code == "consent_missing"


def test_a_directory_permission_that_is_missing_is_named(directory: Directory) -> None:
    directory.break_("directory_denied")
    with directory.session() as session, pytest.raises(Reauthorize) as raised:
        O365Connector().slices(session, STREAM)
    assert raised.value.code == "directory_access_denied"
    assert "User.Read.All" in raised.value.next_step


FOREIGN: list[Callable[[Directory, str], str]] = [
    lambda directory, key: "https://attacker.example/v1.0/users/x/messages/delta?$skiptoken=1",
    lambda directory, key: f"{directory.vendor['https']}/v1.0/users/{key}/messages",
    lambda directory, key: f"{directory.vendor['http']}/v1.0/users('{directory.mailbox(1)}')/messages/delta?a",
    lambda directory, key: f"{directory.vendor['http']}/v1.0/users/{key}/../{directory.mailbox(1)}/messages",
    lambda directory, key: f"{directory.vendor['http']}/v1.0/me/messages",
    lambda directory, key: f"{directory.vendor['http']}/beta/users/{key}/messages",
    lambda directory, key: f"{directory.vendor['http']}/v1.0/users/{key}/calendarView",
    lambda directory, key: f"http://u@{directory.vendor['http'][7:]}/v1.0/users/{key}/messages",
    lambda directory, key: "/v1.0/users/relative/messages",
]


@pytest.mark.parametrize("link", FOREIGN)
def test_a_link_out_of_this_mailbox_is_refused(directory: Directory, link: Callable[[Directory, str], str]) -> None:
    key = directory.mailbox()
    directory.break_("foreign_next", url=link(directory, key))
    with directory.session() as session, pytest.raises(Broken) as raised:
        pages_of(session, full(key))
    assert raised.value.code == "foreign_next_link"


OWN: list[Callable[[str, str, str], str]] = [
    lambda key, directory, principal: f"users('{key}')/messages",
    lambda key, directory, principal: f"users/{key}@{directory}/messages",
    lambda key, directory, principal: f"users('{key}%40{directory}')/mailFolders('inbox')/messages/delta",
    lambda key, directory, principal: f"users('{key.upper()}@{directory}')/messages",
    lambda key, directory, principal: f"users/{principal}/messages",
    lambda key, directory, principal: f"users('{principal.upper()}')/messages",
]


@pytest.mark.parametrize("link", OWN)
def test_a_link_may_name_its_user_in_any_of_graphs_ways_and_no_other_user(
    directory: Directory, link: Callable[[str, str, str], str]
) -> None:
    own, other = directory.live("User")[:2]
    tenant = directory.org["directory_id"]
    with directory.session() as session:
        session.mailboxes()
        named = f"{session.base_url}/{link(own['id'], tenant, own['userPrincipalName'])}?$skiptoken=1"
        assert session.checked_link(named, own["id"]) == named
        with pytest.raises(Broken) as raised:
            session.checked_link(named, other["id"])
    assert raised.value.code == "foreign_next_link"


def test_pages_that_lead_in_a_circle_are_left_after_one_extra_page(directory: Directory) -> None:
    directory.break_("cursor_loop")
    with directory.session(folders="inbox") as session, pytest.raises(Broken) as raised:
        pages_of(session, full(directory.mailbox()))
    assert raised.value.code == "cursor_loop"
    assert len(directory.requests("/delta")) <= 3


def test_an_empty_page_with_a_link_and_an_item_that_comes_twice_change_nothing(directory: Directory) -> None:
    key = directory.mailbox()
    with directory.session() as session:
        straight = {record.external_id for record in records_of(pages_of(session, full(key)))}
    directory.break_("empty_page", count=1)
    directory.break_("duplicate_item")
    with directory.session() as session:
        records = records_of(pages_of(session, full(key)))
    assert len(records) == len(straight)
    assert {record.external_id for record in records} == straight


def test_a_folder_that_a_mailbox_lacks_is_left_out(directory: Directory) -> None:
    with directory.session(folders="inbox,AQMkNowhere") as session:
        assert records_of(pages_of(session, full(directory.mailbox())))
        assert session.usage["folders_absent"] == 1


def test_a_fault_of_one_folder_keeps_what_the_other_has_got(directory: Directory) -> None:
    directory.break_("server_error", path="inbox", after=1)
    pages: list[Page] = []
    with directory.session(max_attempts=2) as session, pytest.raises(Retry):
        pages.extend(O365Connector().read(session, STREAM, full(directory.mailbox())))
    assert len(pages) >= 2
    assert all(page.checkpoint for page in pages)


TABLE = [*((400, code) for code in BY_CODE), *((status, "") for status in BY_STATUS), (418, ""), (500, ""), (507, "X")]


@pytest.mark.parametrize(("status", "code"), TABLE)
def test_every_refusal_has_its_sentence_and_none_of_the_vendors_text(status: int, code: str) -> None:
    body = f'{{"error": {{"code": "{code}", "message": "kim@partner.com may not"}}}}'.encode()
    refusal = refusal_of(status, body, "acme")
    _assert_fit(refusal.fault)
    assert "kim" not in str(refusal.fault)


@pytest.mark.parametrize("key", [*LOGIN, "unheard_of"])
def test_every_refused_login_has_its_sentence_and_none_of_the_vendors_text(key: str) -> None:
    answer = {"error": key, "error_description": "kim@partner.com may not"}
    answer |= {"error_codes": [int(key)]} if key.isdigit() else {}  # type: ignore[dict-item]
    fault = login_fault_of(answer, "acme")
    _assert_fit(fault)
    assert "kim" not in str(fault)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"code": "a b"}}', b"\xff"])
def test_a_refusal_without_a_code_is_judged_by_its_status(body: bytes) -> None:
    assert error_code(body) == ""
    assert refusal_of(503, body, "acme").fault.code == "vendor_unavailable"


def _assert_fit(fault: SyncFault) -> None:
    assert fault.sentence.startswith("Microsoft")
    assert fault.sentence.endswith(".")
    assert fault.next_step.endswith(".")
    assert "<tenant>" not in fault.next_step
