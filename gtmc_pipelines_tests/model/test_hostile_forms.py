"""Texts made to be slow: what a stranger writes into a field takes time in proportion to its length, at most.

Unicode's own algorithms take the square of it: putting accents in order, and Punycode. Both hold the interpreter.
"""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.addresses import plain_address
from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.text_forms import folded, pieces

LENGTH = 20_000
SECONDS = 1.5  # of CPU; the worst takes a tenth of it, and took five to several hundred
MANY_LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + LENGTH)))
HOSTILE = {
    "accents of two classes": "a" + "\u0301\u0316" * (LENGTH // 2),
    "accents of one class, then of another": "a" + "\u0301" * (LENGTH // 2) + "\u0316" * (LENGTH // 2),
    "accents that become two": "a" + "\u0344\u0316" * (LENGTH // 2),
    "marks of half width": "\uff76" + "\uff9e\u0301" * (LENGTH // 2),
    "one label of many letters": MANY_LETTERS,
    "Punycode of many letters": f"xn--{'a' * (LENGTH // 2)}-{'b' * (LENGTH // 2)}",
    "many hosts": "a.example," * (LENGTH // 10),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_takes_the_square_of_its_length(kind: str) -> None:
    text = HOSTILE[kind]
    started = time.thread_time()
    folded(text)
    assert "".join(written for written, _ in pieces(text)) == text
    for form in (text, f"{text}.example", f"https://{text}.example/"):
        plain_domain(form)
    for form in (text, f"kim@{text}.example", f"{text}@example.com", f"mailto:{text}%40example.com"):
        plain_address(form)
    assert time.thread_time() - started < SECONDS


def test_what_is_longer_than_any_address_is_none() -> None:
    assert plain_domain("https://" + "kim" * 5_000 + "@example.com/") == "example.com"
    assert plain_domain("https://example.com/?" + "a" * 1_000_000) == "example.com"
    assert plain_domain("a.example," * 100_000) is None
    assert plain_address("kim@example.com," * 100_000) is None
    assert plain_address("mailto:kim%40example.com?subject=x") == "kim@example.com"


MARKS = st.text("\u0301\u0316\u0344\u05b0\u3099\uff9e\uff9f", min_size=25, max_size=80)


@given(st.lists(st.tuples(st.sampled_from(["a", "İ", "\uff76", "が", "\u2014", ""]), MARKS), max_size=3))
def test_folding_twice_changes_nothing_however_many_accents(letters: list[tuple[str, str]]) -> None:
    text = "".join(letter + marks for letter, marks in letters)
    assert folded(folded(text)) == folded(text)


@given(st.sampled_from("aeioun"), st.text("\u0300\u0301\u0302\u0308\u0316\u0323", max_size=30))
def test_no_accent_that_people_write_is_left_out(letter: str, marks: str) -> None:
    assert folded(letter + marks) == unicodedata.normalize("NFKC", letter + marks)
