"""Whatever a value holds, what is shown of it is one line of visible characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.shown_text import shown, unlinked

NASTY = st.text(
    st.one_of(
        st.sampled_from(
            "\x00\x07\x08\t\n\x0b\r\x1b\x7f\x85\x9b\x9d\u061c\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\ud800"
        ),
        st.characters(),
    )
)
"""Any text, and controls of every kind more often than chance has it."""


@given(NASTY)
def test_nothing_shown_moves_anything_or_is_invisible(value: str) -> None:
    told = shown(value)
    assert not {unicodedata.category(character) for character in told} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(told.splitlines()) <= 1
    assert shown(told) == told


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_what_can_be_seen_stays_as_it_is(value: str) -> None:
    assert shown(value) == value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202etxt.exe", "abc\\u202etxt.exe"),
        ("\U000e0041", "\\U000e0041"),
        ("Zoë 株式会社 😀", "Zoë 株式会社 😀"),
    ],
)
def test_controls_are_written_out(value: str, told: str) -> None:
    assert shown(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("http://evil.example/x", "http[:]//evil.example/x"),
        ("HTTPS://u:p@evil.example", "HTTPS[:]//u:p[@]evil.example"),
        ("www.evil.example", "www[.]evil.example"),
        ("mailto:kim@example.com", "mailto[:]kim[@]example.com"),
        ("12:30 // nothing", "12:30 // nothing"),
    ],
)
def test_no_address_is_one_to_follow(value: str, told: str) -> None:
    assert unlinked(value) == told
    assert unlinked(told) == told
