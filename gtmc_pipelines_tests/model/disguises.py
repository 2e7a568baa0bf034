"""Hosts, addresses, and the ways of writing them that a reader can't tell from the plain one."""

from __future__ import annotations

import random
import unicodedata

from hypothesis import strategies as st

UNSEEN = "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202e\u2060\u2066\ufe0e\ufe0f\ufeff\U000e0061"

_LABEL = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\Z").filter(lambda label: label[2:4] != "--")
_LETTERS = st.text("äöüéñçøåłžабвгд日本語あいう", min_size=1, max_size=6)
_LOCAL = st.from_regex(r"\A[a-z][a-z0-9_]{2,10}([.+-][a-z0-9]{1,6})?\Z")


def _in_ascii(label: str) -> str:
    composed = unicodedata.normalize("NFC", label)
    return composed if composed.isascii() else "xn--" + composed.encode("punycode").decode("ascii")


def hosts() -> st.SearchStrategy[str]:
    """Hosts in plain form: in ASCII or Punycode, none of them beginning with `www.`."""
    label = (_LABEL | _LETTERS.map(_in_ascii)).filter(lambda text: text != "www")
    endings = st.sampled_from(["com", "example", "test", "co.example", "xn--p1ai"])
    return st.tuples(st.lists(label, min_size=1, max_size=3), endings).map(
        lambda parts: ".".join([*parts[0], parts[1]])
    )


def addresses() -> st.SearchStrategy[str]:
    """Addresses in plain form, some with a tag."""
    return st.tuples(_LOCAL, hosts()).map("@".join)


def disguised(text: str) -> st.SearchStrategy[str]:
    """The text with other case, full-width letters, decomposed letters, and characters nobody sees."""
    return st.integers(0, 2**32).map(lambda seed: disguise(text, random.Random(seed)))


def disguise(text: str, dice: random.Random) -> str:
    """One of those forms, as the dice fall."""
    parts = []
    for character in unicodedata.normalize(dice.choice(["NFC", "NFD"]), text):
        kind = dice.choice(["plain", "plain", "upper", "wide", "unseen"])
        if kind == "upper" and len(character.upper()) == 1 and character.upper().lower() == character:
            parts.append(character.upper())
        elif kind == "wide" and "!" <= character <= "~":
            parts.append(chr(ord(character) + 0xFEE0))
        else:
            parts.append(character + (dice.choice(UNSEEN) if kind == "unseen" else ""))
    return "".join(parts)
