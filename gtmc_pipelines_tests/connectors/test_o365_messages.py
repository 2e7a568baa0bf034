"""Of a message only the permitted part is kept, and the same whichever mailbox it was found in."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gtmc_pipelines.connectors.o365.messages import Email, Item, LeftOut, Removal, answer_of, items_of
from gtmc_pipelines.connectors.o365.policy import Policy
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import RejectedRecord

POLICY = Policy(frozenset({"partner.com"}), frozenset({"acme.example"}))
ME = frozenset({"me@acme.example"})
FLOOR = datetime(2026, 1, 1, tzinfo=UTC)


def _party(address: str | None) -> dict[str, Any]:
    return {"emailAddress": {"name": "Name of " + str(address), "address": address}}


def _message(sender: str, to: list[str], cc: list[str] = [], **more: Any) -> dict[str, Any]:  # noqa: B006
    return {
        "@odata.etag": 'W/"1"',
        "id": "AAkA1",
        "internetMessageId": "<one@mx.example>",
        "conversationId": "C1",
        "receivedDateTime": "2026-02-01T10:00:05Z",
        "sentDateTime": "2026-02-01T10:00:00Z",
        "sender": _party(sender),
        "from": _party(sender),
        "toRecipients": [_party(each) for each in to],
        "ccRecipients": [_party(each) for each in cc],
        **more,
    }


def _item(message: Any, addresses: frozenset[str] = ME) -> Item:
    (item,) = items_of(answer_of(json.dumps({"value": [message]}).encode()), POLICY, addresses, FLOOR)
    return item


def _kept(message: Any) -> dict[str, Any]:
    item = _item(message)
    assert isinstance(item, Email)
    found: dict[str, Any] = json.loads(item.record.payload)
    return found


def test_an_inbound_mail_keeps_allowed_people_and_counts_the_others() -> None:
    kept = _kept(_message("Kim@Partner.com", ["me@acme.example", "x@other.example"], ["li@partner.com"]))
    assert kept == {
        "direction": "inbound",
        "occurredAt": "2026-02-01T10:00:00Z",
        "conversationId": "C1",
        "contact": "kim@partner.com",
        "sender": "kim@partner.com",
        "to": [],
        "cc": ["li@partner.com"],
        "participantCount": 4,
        "omittedParticipants": 2,
    }


def test_an_outbound_mail_is_about_its_first_allowed_recipient() -> None:
    kept = _kept(_message("me@acme.example", ["x@other.example", "kim@partner.com"], ["li@partner.com"]))
    assert (kept["direction"], kept["contact"], kept["sender"]) == ("outbound", "kim@partner.com", None)


def test_no_name_and_no_address_of_others_is_kept() -> None:
    message = _message("kim@partner.com", ["me@acme.example", "x@other.example"], surprise="secret text")
    item = _item(message)
    assert isinstance(item, Email)
    for word in (b"Name of", b"acme.example", b"other.example", b"secret", b"mx.example", b"AAkA1"):
        assert word not in item.record.payload


@pytest.mark.parametrize(
    "message",
    [
        _message("boss@acme.example", ["me@acme.example"]),
        _message("news@letters.example", ["me@acme.example"]),
        _message("", []),
        _message("kim@partner.com", ["me@acme.example"], receivedDateTime="2025-12-31T23:59:59Z"),
        {"id": "AAkA9"},
    ],
)
def test_mail_without_an_allowed_outsider_or_too_old_is_only_counted(message: dict[str, Any]) -> None:
    assert isinstance(_item(message), LeftOut)


def test_two_copies_of_a_mail_are_one_record_and_one_payload() -> None:
    first = _item(_message("kim@partner.com", ["me@acme.example", "you@acme.example"]))
    second = _item(
        _message(
            "kim@partner.com",
            ["me@acme.example", "you@acme.example"],
            id="AAkA2",
            receivedDateTime="2026-02-01T10:00:09Z",
        ),
        frozenset({"you@acme.example"}),
    )
    assert isinstance(first, Email)
    assert isinstance(second, Email)
    assert first.record == second.record
    assert not first.is_sole
    assert not second.is_sole


def test_a_mail_without_an_internet_id_goes_by_its_own() -> None:
    one, other = (_item(_message("kim@partner.com", ["me@acme.example"], id=i, internetMessageId=None)) for i in "ab")
    assert isinstance(one, Email)
    assert isinstance(other, Email)
    assert one.record.external_id != other.record.external_id


@pytest.mark.parametrize(
    ("to", "is_sole"),
    [(["ME@acme.example"], True), (["sales@acme.example"], False), (["me@acme.example", "x@other.example"], False)],
)
def test_only_a_mail_to_this_mailbox_alone_is_the_only_copy(to: list[str], is_sole: bool) -> None:
    item = _item(_message("kim@partner.com", to))
    assert isinstance(item, Email)
    assert item.is_sole is is_sole


@pytest.mark.parametrize(
    ("sent", "received", "occurred"),
    [
        ("2026-02-01T10:00:00Z", "2026-02-01T10:00:05Z", "2026-02-01T10:00:00Z"),
        ("2027-02-01T10:00:00Z", "2026-02-01T10:00:05Z", "2026-02-01T10:00:05Z"),
        (None, "2026-02-01T10:00:05Z", "2026-02-01T10:00:05Z"),
        ("2026-02-01T10:00:00Z", None, "2026-02-01T10:00:00Z"),
        (None, None, None),
    ],
)
def test_a_mail_happened_when_it_was_sent_but_never_after_it_was_received(
    sent: str | None, received: str | None, occurred: str | None
) -> None:
    kept = _kept(_message("kim@partner.com", ["me@acme.example"], sentDateTime=sent, receivedDateTime=received))
    assert kept["occurredAt"] == occurred


@pytest.mark.parametrize(("reason", "is_deletion"), [("deleted", True), ("changed", False)])
def test_a_removal_says_whether_it_may_be_a_deletion(reason: str, is_deletion: bool) -> None:
    assert _item({"id": "AAkA1", "@removed": {"reason": reason}}) == Removal("AAkA1", is_deletion)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (_message("kim@partner.com", ["me@acme.example"], id=None), "missing_id"),
        (_message("kim@partner.com", ["me@acme.example"], sentDateTime=7), "malformed_record"),
        (_message("kim@partner.com", ["me@acme.example"], toRecipients="kim@partner.com"), "malformed_record"),
        ("kim@partner.com", "not_an_object"),
        (None, "not_an_object"),
    ],
)
def test_what_is_no_message_is_rejected_with_a_code_and_no_data(message: Any, code: str) -> None:
    item = _item(message)
    assert isinstance(item, RejectedRecord)
    assert (item.external_id, item.reason_code) == (None, code)
    assert "partner" not in item.detail


def test_one_message_with_content_spoils_its_whole_page() -> None:
    good = _message("kim@partner.com", ["me@acme.example"])
    leak = _message("boss@acme.example", ["me@acme.example"], bodyPreview="the secret")
    with pytest.raises(Broken) as raised:
        answer_of(json.dumps({"value": [good, leak]}).encode())
    assert raised.value.code == "privacy_fault"
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"value": 7}', b'{"value": [{"id": "a"', b"{}"])
def test_a_page_that_is_none_is_unparsable(body: bytes) -> None:
    with pytest.raises(Broken) as raised:
        answer_of(body)
    assert raised.value.code == "unparsable_page"


@pytest.mark.parametrize(
    "sender", ["postmaster@partner.com", "No-Reply@partner.com", "bounce+kim=acme.example@partner.com"]
)
def test_mail_whose_only_outsiders_are_machines_is_counted_and_not_kept(sender: str) -> None:
    assert isinstance(_item(_message(sender, ["me@acme.example"], ["notifications@partner.com"])), LeftOut)


def test_a_machine_beside_a_person_is_a_number_and_never_the_contact() -> None:
    kept = _kept(_message("no-reply@partner.com", ["me@acme.example"], ["kim@partner.com", "IMCEAEX-_O=X@partner.com"]))
    assert (kept["contact"], kept["sender"], kept["cc"]) == ("kim@partner.com", None, ["kim@partner.com"])
    assert (kept["participantCount"], kept["omittedParticipants"]) == (4, 3)
