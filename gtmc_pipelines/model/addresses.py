"""A person's e-mail address, in the one form that everything is joined, searched and erased by.

    Kim Berg <KIM+news@Example.com.>    kim+news@example.com
    kim@münchen.example                 kim@xn--mnchen-3ya.example
    n/a    kim@localhost    kim@[192.0.2.1]    IMCEAEX-_O=…@example.com    none

Case goes on both sides of the @: no provider in use tells Kim from kim. A tag stays: only some know tags.
Names inside Exchange (X.500, X.400, IMCEA…) are no addresses: nobody outside can write to them.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from gtmc_pipelines.model.domains import HOST_NAME, plain_host, readable_host
from gtmc_pipelines.model.text_forms import folded, visible

_LOCAL = r"[\w!#$%&'*+/=?^`{|}~.-]{1,128}"  # RFC 5321 has 64; addresses that bounces come back to are longer
_LONGEST = 2_000  # characters of one, as people write it
_LONGEST_LIST = 50_000
_ORDINARY = re.compile(rf"(?!imcea|/)[a-z0-9_.+'-]{{1,128}}@(?=[^@]{{4,253}}\Z)(?!.*xn--){HOST_NAME}")
_ONE = re.compile(rf"(?!imcea[a-z0-9]+-|/)({_LOCAL})@([^@\s]+)")
_HAS_AT = re.compile(r"@|%40")
_QUOTED_NAME = re.compile(r'"[^"@]*"(?!@)')
_QUOTED_LOCAL = re.compile(r'"([^"\\\s@]+)"(?=@)')
_COMMENT = re.compile(r"\([^()]*\)")
_BRACKETS = re.compile(r"<([^<>]*)>")
_BETWEEN = re.compile(r"[,;|\r\n]+")
_AROUND = " \t\"'`“”„‘’«»()[]{}<>"


def plain_address(text: str) -> str | None:
    """The e-mail address in `text`; None when it holds none. Idempotent.

    `Name <address>` and `mailto:` are read; of several the first counts, when what is between them is
    names at most.
    """
    lowered = text.strip().lower() if text.isascii() else ""
    if _ORDINARY.fullmatch(lowered):
        return lowered
    if len(text) > _LONGEST_LIST or _HAS_AT.search(seen := visible(text)) is None:
        return None
    found = [_first_of(part) for part in _BETWEEN.split(_QUOTED_NAME.sub("", seen)) if part.strip(_AROUND)]
    addresses = [one for one in found if one]
    is_clean = len(addresses) == len(found) or "<" in text
    return addresses[0] if addresses and is_clean else None


def host_of(address: str) -> str | None:
    """The host of an address in plain form, or of any text that holds one; None when there is none."""
    plain = plain_address(address)
    return plain.rpartition("@")[2] if plain else None


def written_forms(address: str) -> tuple[str, ...]:
    """The forms a plain address has in texts once they are folded: its host in ASCII and in its own letters."""
    local, _, host = address.rpartition("@")
    return tuple(dict.fromkeys((address, f"{local}@{folded(readable_host(host))}")))


def _first_of(part: str) -> str | None:
    """The address of one part of a list; None for a name, and for what has words beside the address."""
    bracket = _BRACKETS.search(part)
    one = bracket[1] if bracket and "@" in bracket[1] else _COMMENT.sub(" ", part)
    one = _QUOTED_LOCAL.sub(r"\1", one.strip(_AROUND if '"@' not in one else " "))
    if (head := one[:7].lower()).startswith(("mailto:", "smtp:")):
        one = unquote(one[head.index(":") + 1 :].partition("?")[0])
    words = one.split()
    if not words or len(words[0]) > _LONGEST or (len(words) > 1 and not all("@" in word for word in words)):
        return None
    found = _ONE.fullmatch(folded(words[0]))
    host = plain_host(found[2]) if found else None
    return f"{found[1]}@{host}" if found and host else None
