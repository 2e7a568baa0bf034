"""Taking one person out of documents: what goes, what stays, and who is somebody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gtmc_pipelines.vault.erasure import ERASED, Marks, is_about, mentions, parsed, without, written
from gtmc_pipelines.vault.pseudonyms import Pseudonyms

ANN = Marks(lambda address: address == "ann@x.com", lambda text: text == "003ANN000001")


@pytest.mark.parametrize(
    "text",
    [
        "ann@x.com",
        " Ann@X.com ",
        "write to Ann <ANN@x.com>.",
        "line\nann@x.com.",
        "https://shop.test/?email=ann%40x.com&b=1",
        "https://shop.test/?q=to%3Dann%40x.com",
        "'ann@x.com'",
        "ann@x.com, unsubscribe: https://shop.test/?email=ann%40x.com",
        "003ANN000001",
    ],
)
def test_every_way_to_write_the_address_is_found_and_blotted_out(text: str) -> None:
    assert mentions({"a": [text]}, ANN)
    masked = without({"a": {"b": text}}, ANN)
    assert not mentions(masked, ANN)
    assert ERASED in masked["a"]["b"]


@pytest.mark.parametrize(
    "text", ["ann+b@x.com", "Ann%2Bb%40X.com", "ann%2bb@x.com", "ann+b@x.com or ?to=ann%2Bb@x.com"]
)
def test_an_address_with_a_tag_is_found_however_an_url_writes_it(text: str) -> None:
    tagged = Marks(lambda address: address == "ann+b@x.com", lambda text: False)
    assert mentions(text, tagged)
    assert not mentions(without({"a": text}, tagged), tagged)
    assert not mentions(text, ANN)


@pytest.mark.parametrize("text", ["joann@x.com", "ann@x.com.au", "ann@xx.com", "j.ann@x.com", "ann at x.com", ""])
def test_somebody_else_is_left_alone(text: str) -> None:
    document = {"a": text, "b": [text]}
    assert not mentions(document, ANN)
    assert without(document, ANN) == document


def test_a_meeting_keeps_the_others_and_loses_the_person_with_what_was_said() -> None:
    meeting: dict[str, Any] = {
        "title": "Plans",
        "recorded_by": {"name": "Bob Bee", "email": "bob@y.com"},
        "calendar_invitees": [
            {"name": "Ann Lee", "email": "ann@x.com", "is_external": True},
            {"name": "Bob Bee", "email": "bob@y.com", "is_external": False},
        ],
        "transcript": [
            {"speaker": {"display_name": "Ann Lee"}, "text": "my secret"},
            {"speaker": {"display_name": "Bob Bee"}, "text": "hello"},
        ],
        "summary": "Ann Lee agreed with Bob Bee.",
    }
    masked = without(meeting, ANN)
    assert masked["calendar_invitees"] == [meeting["calendar_invitees"][1]]
    assert masked["transcript"] == [meeting["transcript"][1]]
    assert masked["summary"] == f"{ERASED} agreed with Bob Bee."
    assert masked["recorded_by"] == meeting["recorded_by"]
    assert "Ann" not in json.dumps(masked)
    assert "secret" not in json.dumps(masked)
    assert without(masked, ANN) == masked


def test_a_row_loses_the_lines_and_scores_of_the_person() -> None:
    row = {
        "participants": [{"name": "Ann Lee", "email": "ann@x.com"}, {"name": "Bob Bee", "email": "bob@y.com"}],
        "transcript": "Ann Lee: my secret\nBob Bee: hello",
        "sentiment": {"speakers": {"Ann Lee": 0.5, "Bob Bee": 0.1}},
    }
    masked = without(row, ANN)
    assert masked["transcript"] == f"{ERASED}: {ERASED}\nBob Bee: hello"
    assert masked["sentiment"] == {"speakers": {"Bob Bee": 0.1}}


def test_numbers_keep_their_digits() -> None:
    text = '{"a": 0.10, "b": 12345678901234567890.123456789, "c": 9007199254740993, "d": 1E400, "e": "0.10"}'
    assert written(parsed(text)) == text


@pytest.mark.parametrize(
    ("document", "is_own"),
    [
        ({"Email": "ANN@x.com"}, True),
        ({"attributes": {"email": "ann@x.com"}}, True),
        ({"Email": "bob@y.com", "Note": "ann@x.com"}, False),
        (["ann@x.com"], False),
    ],
)
def test_a_record_is_the_persons_own_by_its_address(document: Any, is_own: bool) -> None:
    assert is_about(document, ANN) is is_own


def test_hashes_of_people_depend_on_the_key_and_the_vendor_and_not_on_the_spelling() -> None:
    one, other = Pseudonyms(b"1" * 32), Pseudonyms(b"2" * 32)
    assert one.of_email(" Ann@X.com") == one.of_email("ann@x.com") != other.of_email("ann@x.com")
    assert one.of_external_id("salesforce", "5") != one.of_external_id("fathom", "5")
    assert "1" not in repr(one)
