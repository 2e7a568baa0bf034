"""What people can't see in a text, or see as the same: the forms that keys and searches fold into one.

Of two texts that fold alike a reader can't tell which is which. Letters of other alphabets that only look
alike (a Cyrillic а) stay what they are here: they may be somebody else's; `LOOK_ALIKE` names them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping

# Default_Ignorable_Code_Point of the Unicode standard (DerivedCoreProperties.txt), interlinear marks, and controls.
INVISIBLE_CHARACTERS = (
    "\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Inside of a character class, for `re` and for PostgreSQL alike. NUL is missing: PostgreSQL can't name it."""

_INVISIBLE = re.compile(f"[\x00{INVISIBLE_CHARACTERS}]")
_MOST_MARKS = 30  # on one letter: of what people write none has more (UAX #15, section 13, Stream-Safe Text)
_MANY_MARKS = re.compile(rf"(?:[^\w\s\x00-\xa0]|[\uff9e\uff9f]){{{_MOST_MARKS + 1},}}")  # or other signs
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xFE6B: 0x40, 0xFE52: 0x2E}
_FULL_WIDTH |= {0x3002: 0x2E, 0xFF61: 0x2E}  # ideographic full stops end a label as a dot does (UTS #46, section 2.3)

_LATIN = (
    "a:аαɑ b:Ьᖯ c:сϲ d:ԁ e:еҽ g:ɡ h:һ i:іıι j:јϳ k:кκ l:ӏı"
    " m:м n:ոп o:оοօ p:рρ q:ԛ r:г s:ѕ t:тτ u:υս v:νѵ w:ԝѡ x:хχ y:уүγ z:ᴢ"
)

LOOK_ALIKE: Mapping[str, str] = {each[0]: each[2:].lower() for each in _LATIN.split()}
"""Letters of other alphabets, in lower case, that a reader takes for the Latin one (of UTS #39, confusables.txt)."""


def visible(text: str) -> str:
    """The text as it was typed, less what can't be seen; full-width ASCII and ideographic dots as ordinary ones."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub("", text).translate(_FULL_WIDTH)


def folded(text: str) -> str:
    """One form for everything that reads alike: lower case, composed, compatible (NFKC), nothing invisible.

    İ becomes i and no dot stays behind; a final ς is a σ. Accents beyond the thirtieth of a letter are left out:
    putting them in order takes the square of their number. Idempotent.
    """
    if text.isascii():
        return visible(text).lower()
    composed = unicodedata.normalize("NFKC", _bounded(visible(text))).lower()
    composed = visible(unicodedata.normalize("NFKC", _bounded(composed)))
    return unicodedata.normalize("NFKC", _bounded(composed.replace("i\u0307", "i").replace("ς", "σ")))


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """The text in pieces that fold each for itself, and how: where something folded stands in the text as written.

    A letter is one piece with its accents and with what can't be seen behind it.
    """
    start = 0
    for at, character in enumerate(text):
        if at > start and not _goes_on(character):
            yield text[start:at], folded(text[start:at])
            start = at
    if text:
        yield text[start:], folded(text[start:])


def _bounded(text: str) -> str:
    """The text without the accents of a letter that are too many to put in order."""
    return _MANY_MARKS.sub(lambda found: "".join(_first_marks(found[0])), text)


def _first_marks(signs: str) -> Iterator[str]:
    marks = 0
    for sign in signs:
        marks = marks + 1 if unicodedata.combining(sign) or sign in "\uff9e\uff9f" else 0
        if marks <= _MOST_MARKS:
            yield sign


def _goes_on(character: str) -> bool:
    is_jamo = "\u1160" <= character <= "\u11ff"  # vowels and finals of a Korean syllable compose with what precedes
    return is_jamo or unicodedata.combining(character) > 0 or _INVISIBLE.match(character) is not None
