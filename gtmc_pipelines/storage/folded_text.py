"""Text as the eye reads it, in PostgreSQL: what `model.text_forms.folded` is in Python, whatever the database's locale.

`lower()` knows only ASCII in some locales: patterns name both cases of other letters.
"""

from __future__ import annotations

import re
import unicodedata

from psycopg import sql

from gtmc_pipelines.model.text_forms import INVISIBLE_CHARACTERS

# In jsonb's own text a control character is written as an escape.
_UNSEEN = f"([{INVISIBLE_CHARACTERS}]|\\\\u00[01][0-9a-f])+"
_AS_IS = {"\u0130": "i", "\u3002": "."}  # İ and the ideographic full stop
_DOTTED = "i\u0307"


def _is_settled(character: str) -> bool:
    """Whether no step of folding but the letters' case changes a character, nor joins it to the one before."""
    is_single = unicodedata.combining(character) == 0 and unicodedata.normalize("NFKC", character) == character
    return is_single and character not in _AS_IS and re.match(f"[{INVISIBLE_CHARACTERS}]", character) is None


# What most texts in European and East Asian languages are made of: they need none of the slow steps.
_SETTLED = "\x09-\x0d\x20-\x7e\u3041-\u3094\u30a1-\u30fa\u30fc\u4e00-\u9fa5\uac00-\ud7a3" + "".join(
    c for c in map(chr, [*range(0xA1, 0x530), *range(0x2010, 0x2028)]) if _is_settled(c)
)

_FOLDED = """(SELECT lower(CASE
    WHEN octet_length(t) = length(t) AND strpos(t, '\\u00') = 0 THEN t
    WHEN strpos(t, '\\u00') = 0 AND t !~ {unsettled} THEN t
    ELSE {steps} END) FROM (SELECT {text} COLLATE "C" AS t OFFSET 0) AS written)"""


def folded_sql(text: sql.Composable) -> sql.Composed:
    """The expression of a text, folded; letters outside ASCII may keep their case. Its collation is "C"."""
    steps = sql.SQL("normalize(regexp_replace(t, {}, '', 'g'), NFKC)").format(sql.Literal(_UNSEEN))
    for written, seen in (*_AS_IS.items(), ("I\u0307", "i"), (_DOTTED, "i")):
        steps = sql.SQL("replace({}, {}, {})").format(steps, sql.Literal(written), sql.Literal(seen))
    return sql.SQL(_FOLDED).format(text=text, steps=steps, unsettled=sql.Literal(f"[^{_SETTLED}]"))


def pattern_of(folded: str) -> str:
    """A folded text as a pattern of PostgreSQL that finds it in either case."""
    return "".join(map(_either_case, folded))


def longest_ascii(folded: str) -> str:
    """The longest part of a folded text that `strpos` finds whatever the locale."""
    return max(re.findall(r"[\x21-\x7e]+", folded), key=len, default="")


def _either_case(character: str) -> str:
    if character.isascii():
        return character if character.isalnum() or character in "_@" else "\\" + character
    cases = {character, *(one for one in (character.upper(), character.title()) if len(one) == 1)}
    if character == "σ":
        cases.add("ς")
    return f"[{''.join(sorted(cases))}]" if len(cases) > 1 else character
