"""Transcripts, participants and moods of meetings, as mappings see them."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.mapping.expressions import Expression
from gtmc_pipelines.mapping.functions import LINEAR
from gtmc_pipelines.mapping.meetings import participant_email, participants, seconds_between, transcript_text
from gtmc_pipelines.mapping.sentiment import METHOD, PIECE_WORDS, compound, method_version, sentiment, sentiment_score
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Reject

VADER = SentimentIntensityAnalyzer()
WORDS = ["good", "bad", "not", "but", "very", "NO", "kind", "of", "the", "GREAT!", ":)", "never", "so", "least", "?"]


def _said(*lines: tuple[str | None, str]) -> list[dict[str, Any]]:
    return [{"speaker": {"display_name": name}, "text": text, "timestamp": "00:00:01"} for name, text in lines]


def test_a_transcript_has_one_utterance_a_line() -> None:
    said = _said(("Kim", " Hi\nthere "), (None, "Hello"), ("Kim", "  "), ("Ola", "Bye"))
    assert transcript_text(said) == "Kim: Hi there\nHello\nOla: Bye"


@pytest.mark.parametrize("value", [None, [], "text", 7, {}, [None, 3, "x"], [{"text": None}], [{"text": 7}]])
def test_what_is_no_transcript_is_null(value: Any) -> None:
    assert transcript_text(value) is None
    assert sentiment(value) is None
    assert sentiment_score(value) is None


def test_participants_are_lean_and_their_emails_lower_case() -> None:
    invitees = [{"name": "Kim", "email": " Kim@X.test ", "is_external": True, "email_domain": "x.test"}, {"name": None}]
    assert participants(invitees) == [
        {"name": "Kim", "email": "kim@x.test", "is_external": True},
        {"name": None, "email": None, "is_external": False},
    ]
    assert participants(None) is None


def test_the_person_of_a_meeting_is_the_first_external_invitee() -> None:
    inside = {"email": "Ola@acme.test", "is_external": False}
    outside = {"email": "kim@x.test", "is_external": True}
    dialled_in = {"email": None, "is_external": True}
    assert participant_email([inside, dialled_in, outside]) == "kim@x.test"
    assert participant_email([inside, dialled_in]) == "ola@acme.test"
    assert participant_email([dialled_in]) is None
    assert participant_email(None) is None


def test_seconds_between_two_times() -> None:
    assert seconds_between("2026-01-15T16:01:12Z", "2026-01-15T18:00:55+01:00") == 3583
    assert seconds_between("2026-01-15T16:01:12Z", "2026-01-15T16:01:11Z") is None
    assert seconds_between(None, "2026-01-15T16:01:11Z") is None
    with pytest.raises(Reject):
        seconds_between("today", "2026-01-15T16:01:11Z")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=PIECE_WORDS).map(" ".join))
def test_an_utterance_scores_what_vader_says(text: str) -> None:
    assert compound(text) == VADER.polarity_scores(text)["compound"]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_scores_what_vader_says(text: str) -> None:
    if len(text.split()) <= PIECE_WORDS:
        assert compound(text) == VADER.polarity_scores(text)["compound"]


def test_a_meetings_score_weighs_utterances_by_their_length() -> None:
    lines = [("Kim", "I love this, it is excellent!"), ("Ola", "Terrible."), ("Kim", "See you on Monday then.")]
    found = sentiment(_said(*lines))
    assert found is not None
    scores = [VADER.polarity_scores(text)["compound"] for _, text in lines]
    lengths = [len(text) for _, text in lines]
    wanted = sum(score * length for score, length in zip(scores, lengths, strict=True)) / sum(lengths)
    assert found["score"] == round(wanted, 4) == sentiment_score(_said(*lines))
    assert (found["method"], found["version"]) == (METHOD, method_version())
    assert [one["speaker"] for one in found["speakers"]] == ["Kim", "Ola"]
    assert found["speakers"][1]["score"] == round(scores[1], 4)


def test_one_endless_utterance_costs_no_more_than_many_short_ones() -> None:
    started = time.process_time()
    assert sentiment([{"text": "not bad but very good " * 2_500}]) is not None
    assert time.process_time() - started < 5  # as one piece it would take minutes


def test_two_transcripts_are_not_mixed_up() -> None:
    happy, sad = _said(("Kim", "Wonderful, I love it!")), _said(("Kim", "Awful, I hate it."))
    assert (sentiment_score(happy) or 0) > 0 > (sentiment_score(sad) or 0)
    assert (sentiment_score(happy) or 0) > 0


@pytest.mark.parametrize("name", sorted(LINEAR))
def test_called_on_a_value_alone_or_inside_an_expression_a_function_gives_the_same(name: str) -> None:
    value = _said(("Kim", "Great!"), ("Ola", "No."))
    direct, inside = Expression(f" {name}( value ) "), Expression(f"true ? {name}(value) : null")
    assert direct.evaluate(value, None, "f") == inside.evaluate(value, None, "f")
    assert direct.evaluate(None, None, "f") == inside.evaluate(None, None, "f")


def test_a_transcript_of_hours_is_mapped_and_one_beyond_every_bound_is_rejected() -> None:
    text = Expression("transcript_text(value)")
    assert len(text.evaluate(_said(*[("Kim", "words " * 50)] * 3_000), None, "f")) > 900_000
    with pytest.raises(Reject):
        text.evaluate(_said(*[("Kim", "words " * 50)] * 4_000), None, "f")


def test_a_nul_in_a_transcript_is_rejected_without_its_text() -> None:
    with pytest.raises(Reject) as caught:
        Expression("transcript_text(value)").evaluate(_said(("Kim", "a\x00b")), None, "transcript")
    assert caught.value.code == "nul_character"


def test_the_prefix_and_the_librarys_version_are_in_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_of(ConnectorType.FATHOM, "meetings")
    assert stream is not None
    assert (stream.prefix_of(Entity.ACTIVITY), stream.prefix_of(Entity.MEETING)) == ("fathom_", "")
    entries = [
        MappingEntry("id", "fathomMeetingId"),
        MappingEntry("at", "occurredAt"),
        MappingEntry("transcript", "sentiment", Transform.CUSTOM, "sentiment(value)"),
    ]
    plain, prefixed = (compile_mapping(Entity.MEETING, entries, "meetings", prefix) for prefix in ("", "fathom_"))
    assert (plain.external_id_prefix, prefixed.external_id_prefix) == ("", "fathom_")
    assert plain.fingerprint != prefixed.fingerprint
    monkeypatch.setattr("gtmc_pipelines.mapping.compile.method_version", lambda: "99")
    assert compile_mapping(Entity.MEETING, entries, "meetings").fingerprint != plain.fingerprint
