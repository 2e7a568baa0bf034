"""Text from outside, made fit to be shown: what it is can be seen, and it does nothing.

A vendor, a tenant, a mapping or a file can put any character into a value. Where people read it (a terminal, a log, a
page) a control character moves the cursor, sets the clipboard or begins a line of its own, and a bidirectional one
turns round what stands beside it. `shown` writes each of them out. Every medium builds on it: `cli.console` for a
terminal, `vault.log_lines` for logs, `defs.showing` for Dagster.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""General categories of Unicode: controls (C0, C1, DEL), formats (bidi controls and isolates, zero-width ones, tags),
lone surrogates, separators of lines and of paragraphs."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class _Escapes(dict[int, str]):
    """By code point, how `str.translate` asks: what is written for a character. Only what is written out is kept."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if unicodedata.category(character) not in _UNSEEN:
            return character
        form = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        self[code] = _NAMED.get(character, form)
        return self[code]


_ESCAPES = _Escapes()


def shown(value: object) -> str:
    """The value's text on one line: every control, format and surrogate character written out (`\\n`, `\\x1b`,
    `\\u202e`), all others as they are. Applying it twice changes nothing more.
    """
    text = str(value)
    return text if text.isprintable() else text.translate(_ESCAPES)


_LINKS = re.compile(r"(?i)(?<=[a-z0-9+.-]):(?=//)|(?<=mailto):|(?<=xmpp):")
_HOSTS = re.compile(r"(?i)(?<=www)\.")


def unlinked(value: object) -> str:
    """`shown`, and nothing in it that a page or a messenger would make a link of by itself: `http[:]//`, `www[.]`,
    `kim[@]example.com`, as security teams write addresses that nobody is to follow.
    """
    return _HOSTS.sub("[.]", _LINKS.sub("[:]", shown(value))).replace("@", "[@]").replace("[[@]]", "[@]")
