"""Takes one person out of a document that is also about others: entries, utterances, names, addresses, ids.

Pure: who the person is comes as two questions, asked of plain text when a person is being erased and
of keyed hashes when an erased one must not come back.
"""

from __future__ import annotations

import json
import re
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from urllib.parse import unquote

from gtmc_pipelines.model.addresses import plain_address
from gtmc_pipelines.model.domains import plain_host
from gtmc_pipelines.model.text_forms import folded, pieces

ERASED = "[erased]"
MIN_ID_CHARACTERS = 6
"""Shorter ids are not looked for inside documents: `5` is a number of anything."""

ADDRESS = re.compile(r"[\w.+'-]{1,128}@[^\W_][\w-]{0,63}(?:\.[^\W_](?:[^\W_]|-){0,62}){1,8}")

_ADDRESS_KEYS = frozenset({"email", "emailaddress", "email_address", "address", "mail"})
_LONGEST_VALUE = 1_000  # characters; what is longer is a text
_NAME_KEYS = frozenset({"name", "display_name", "displayname", "full_name", "fullname"})
_NAME_CHARACTERS = 3
_NUMBER = uuid.uuid4().hex  # stands around a decimal's own digits while a document is taken apart
_MARKED = re.compile(f'"{_NUMBER}([^"]*){_NUMBER}"')


@dataclass(frozen=True, slots=True)
class Marks:
    """How a person is recognised: `is_address` is given one address in plain form, `is_id` one whole value.

    Texts are read as the eye reads them: letter case, full-width and composed letters, characters nobody
    sees, and a host's Punycode make no difference.
    """

    is_address: Callable[[str], bool]
    is_id: Callable[[str], bool]

    def is_whole(self, text: str) -> bool:
        """Whether a value is the person: their address, a name beside it at most, or their id, and nothing else."""
        if len(text) >= MIN_ID_CHARACTERS and self.is_id(text):
            return True
        if len(text) > _LONGEST_VALUE or not _may_hold_address(text):
            return False
        seen = folded(text).strip()
        return self._is_theirs(plain_address(text) or seen) and len(ADDRESS.findall(seen)) <= 1

    def is_in(self, text: str) -> bool:
        """Whether a text mentions the person."""
        return self.is_whole(text) or any(self._is_theirs(found) for found in _addresses(text))

    def replaced(self, text: str) -> str:
        """The text with their address blotted out; all of it when the address is also hidden in an URL's escapes."""
        if self.is_whole(text):
            return ERASED
        if not _may_hold_address(text):
            return text
        masked = self._without_address(text)
        return ERASED if self.is_in(masked) else masked

    def _without_address(self, text: str) -> str:
        if text.isascii() and ADDRESS.search(text):
            return ADDRESS.sub(lambda m: ERASED if self._is_theirs(m[0]) else m[0], text)
        parts = list(pieces(text))
        ends = list(accumulate(len(seen) for _, seen in parts))
        kept, after = [], 0
        for found in ADDRESS.finditer("".join(seen for _, seen in parts)):
            if self._is_theirs(found[0]):
                first, last = bisect_right(ends, found.start()), bisect_right(ends, found.end() - 1)
                kept += [*(written for written, _ in parts[after:first]), ERASED]
                after = last + 1
        return "".join([*kept, *(written for written, _ in parts[after:])])

    def _is_theirs(self, found: str) -> bool:
        found = found.lower()
        starts = [0, *(at + 1 for at, character in enumerate(found) if character == "'")]  # 'ann@x.com' in quotes
        return any(self.is_address(_plain(found[start:])) for start in starts)


def parsed(text: str) -> Any:
    """A JSON document whose decimals keep their digits; `written` is its way back. Raises ValueError."""
    return json.loads(text, parse_float=lambda digits: f"{_NUMBER}{digits}{_NUMBER}")


def written(document: Any) -> str:
    """JSON text of what `parsed` gave."""
    return _MARKED.sub(r"\1", json.dumps(document, ensure_ascii=False))


def mentions(document: Any, marks: Marks) -> bool:
    """Whether any text or key of a document mentions the person."""
    return any(marks.is_in(text) for text in _texts(document))


def is_about(document: Any, marks: Marks) -> bool:
    """Whether a record is the person's own: an `email` of its own, or of its attributes, names them.

    Who has two addresses in one field is erased by either.
    """
    if not isinstance(document, dict):
        return False
    for fields in (document, document.get("attributes"), document.get("customer")):
        for key, value in fields.items() if isinstance(fields, dict) else ():
            if key.lower() == "email" and isinstance(value, str) and marks.is_in(value):
                return True
    return False


def without(document: Any, marks: Marks) -> Any:
    """The document without the person: their entries in lists go, the rest of them is blotted out."""
    return _masked(document, marks, frozenset(_names(document, marks, is_top=True)), is_top=True)


def _masked(value: Any, marks: Marks, names: frozenset[str], *, is_top: bool) -> Any:
    if isinstance(value, str):
        return _masked_text(value, marks, names)
    if isinstance(value, list):
        return [_masked(item, marks, names, is_top=False) for item in value if not _is_entry(item, marks, names)]
    if not isinstance(value, dict):
        return value
    is_theirs = not is_top and _holds(value, marks, names)
    return {
        key: ERASED if is_theirs and isinstance(item, str) else _masked(item, marks, names, is_top=False)
        for key, item in value.items()
        if key not in names and not marks.is_in(key)
    }


def _masked_text(text: str, marks: Marks, names: frozenset[str]) -> str:
    text = marks.replaced(text)
    for name in names:
        if name in text:
            text = re.sub(rf"(?m)^{re.escape(name)}: .*$", f"{ERASED}: {ERASED}", text)
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", ERASED, text)
    return text


def _is_entry(item: Any, marks: Marks, names: frozenset[str]) -> bool:
    """Whether an item of a list is the person, or what the person said."""
    if isinstance(item, str):
        return marks.is_whole(item)
    if not isinstance(item, dict):
        return False
    inner = (value for value in item.values() if isinstance(value, dict))
    return _holds(item, marks, names) or any(_holds(value, marks, names) for value in inner)


def _holds(fields: dict[str, Any], marks: Marks, names: frozenset[str]) -> bool:
    return any(
        isinstance(value, str)
        and (value in names or marks.is_whole(value) or (key.lower() in _ADDRESS_KEYS and marks.is_in(value)))
        for key, value in fields.items()
    )


def _names(value: Any, marks: Marks, *, is_top: bool = False) -> Iterator[str]:
    """Names that stand beside the person's address."""
    if isinstance(value, dict):
        if not is_top and _holds(value, marks, frozenset()):
            for key, name in value.items():
                if key.lower() in _NAME_KEYS and isinstance(name, str) and len(name.strip()) >= _NAME_CHARACTERS:
                    yield name.strip()
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _names(item, marks)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _addresses(text: str) -> Iterator[str]:
    """Every address in a text, folded."""
    if not _may_hold_address(text):
        return
    seen = folded(text)
    yield from ADDRESS.findall(seen)
    if "%" in seen:
        yield from ADDRESS.findall(folded(unquote(text)))


def _may_hold_address(text: str) -> bool:
    return "@" in text or "%40" in text or (not text.isascii() and ("\uff20" in text or "\ufe6b" in text))


def _plain(address: str) -> str:
    """A folded address with its host as DNS knows it."""
    if address.isascii() and "xn--" not in address:
        return address
    local, _, host = address.rpartition("@")
    return f"{local}@{plain_host(host) or host}"
