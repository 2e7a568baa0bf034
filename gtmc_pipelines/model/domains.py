"""A company's domain, in the one form that everything is joined by.

    https://www.Example.com/?ref=https://other.example   example.com
    Kim Berg <kim@münchen.example>                       xn--mnchen-3ya.example
    n.a.    -.com    192.0.2.1    localhost              none: no host name of the internet

The host is found as browsers find it (WHATWG URL: it ends at the first of / \\ ? #, begins after the last @
of what is left), and must be a host name: RFC 1123, in ASCII as UTS #46 writes it, with a top-level domain
of two letters or more. Whether that domain is delegated is not asked: lists of them age.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

import idna

from gtmc_pipelines.model.text_forms import folded, visible

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_NAME = rf"(?:{_LABEL}\.)+(?:[a-z]{{2,63}}|xn--[a-z0-9-]{{0,58}}[a-z0-9])"
"""Pattern of a host name in plain form; 253 characters at most beside."""

_HOST_NAME = re.compile(rf"(?=.{{4,253}}\Z){HOST_NAME}")
_ORDINARY = re.compile(rf"(?:https?://)?(?:www\.)?(?!www\.)((?:{_LABEL}\.)+[a-z]{{2,63}})(?:/[!-~]*)?")
_SCHEME = re.compile(r"(?i)(?:https?|ftps?|wss?)(?::[/\\]*|[/\\]{2,})|[/\\]{2,}|(?:mailto|smtp):")
_SECOND_SCHEME = re.compile(r"(?i)(?:https?|ftp):[/\\]{2,}")  # http://https://example.com, as forms make it
_NAMED = re.compile(r"[^<>/?#\\]*<([^<>]*)>\s*")  # Kim Berg <kim@example.com>, <https://example.com>
_LONGEST = 10_000  # characters of one host, or of several, as people write them
_LONGEST_HOST, _LONGEST_LABEL = 253, 63  # RFC 1035, section 2.3.4. Punycode takes the square of a label's length
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_END = re.compile(r"[/\\?#]")
_SEVERAL = re.compile(r"[\s,;|]+")
_AROUND = " \t\r\n\"'`“”„‘’«»()[]{}<>,;"


def plain_domain(text: str) -> str | None:
    """The domain of an address of the web, of an e-mail address, or itself; None when there is none. Idempotent.

    `www.` goes. Of several, all of them domains, the first counts.
    """
    ordinary = _ORDINARY.fullmatch(text)
    host = ordinary[1] if ordinary and "xn--" not in text and len(ordinary[1]) <= 253 else _host_of(visible(text))
    while host is not None and host.startswith("www."):
        host = host[4:] if "." in host[4:] else None
    return host


def plain_host(text: str) -> str | None:
    """A host name in plain form: lower case, ASCII (Punycode), no dot at its end; None when it isn't one."""
    host = folded(text).rstrip(".") if len(text) <= _LONGEST else ""
    if len(host) > _LONGEST_HOST:
        return None
    if not host.isascii() or "xn--" in host:
        labels = [_in_ascii(label) for label in host.split(".")]
        host = ".".join(label or "" for label in labels)
    return host if _HOST_NAME.fullmatch(host) else None


def readable_host(host: str) -> str:
    """A plain host with its letters as people write them: the other form a text may hold."""
    return ".".join(_decoded(label) or label for label in host.split("."))


def _host_of(text: str) -> str | None:
    named = _NAMED.fullmatch(text)
    text = (named[1] if named else text).strip(_AROUND)
    is_url = text[:3].lower() in ("htt", "ftp", "wss", "ws:")
    for scheme in (_SCHEME, _SECOND_SCHEME):
        text = text[found.end() :] if (found := scheme.match(text)) else text
    authority = _END.split(text, maxsplit=1)[0]
    if is_url:
        authority = authority.rpartition("@")[2]
    if len(authority) > _LONGEST:
        return None
    if _SEVERAL.search(authority):
        each = [plain_domain(part) for part in _SEVERAL.split(text[:_LONGEST]) if part]
        return each[0] if len(each) > 1 and all(each) else None
    host, _, port = authority.rpartition("@")[2].partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return None
    host = unquote(host)
    return None if _CONTROL.search(host) else plain_host(host)


def _in_ascii(label: str) -> str | None:
    """A folded label as DNS knows it; None when no browser would ask for it."""
    letters = _decoded(label) if label.startswith("xn--") else label
    if letters is None:
        return None
    letters = folded(letters)
    try:
        letters = idna.uts46_remap(letters, std3_rules=False)
    except idna.IDNAError:
        return None
    if letters.isascii():
        return None if label.startswith("xn--") else letters
    if len(letters) > _LONGEST_LABEL:
        return None
    is_label = "." not in letters and not unicodedata.category(letters[0]).startswith("M")
    return f"xn--{letters.encode('punycode').decode('ascii')}" if is_label else None


def _decoded(label: str) -> str | None:
    if not label.startswith("xn--"):
        return None
    try:
        return label.removeprefix("xn--").encode("ascii").decode("punycode")
    except UnicodeError:
        return None
