"""Taking Delivr.ai's pages apart: the list under whichever of its known keys, and the next page's cursor."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gtmc_pipelines.connectors.delivrai.dialect import Dialect
from gtmc_pipelines.connectors.delivrai.errors import VENDOR
from gtmc_pipelines.connectors.json_pages import UNREADABLE, decode_page
from gtmc_pipelines.model.errors import Broken

LIST_KEYS = ("data", "items", "signals", "companies", "results", "rows", "records")
_CURSOR_KEYS = ("nextCursor", "next_cursor")
_PAGE_KEYS = (*_CURSOR_KEYS, "total_rows", "has_more")
"""Members that tell a page by themselves: its list is optional in the vendor's own client (`EventsResponse`)."""

_LONGEST_CURSOR = 4_096

_Members = dict[str, msgspec.Raw]
_MEMBERS: msgspec.json.Decoder[_Members] = msgspec.json.Decoder(_Members)
_LIST: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)
_CURSOR: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A page: its records as the vendor's own bytes, and the cursor of the next one ("": there is none)."""

    records: list[msgspec.Raw]
    cursor: str


def envelope_of(body: bytes, dialect: Dialect) -> Envelope:
    """A page taken apart.

    Raises Broken: `unparsable_page` for what has no list where one belongs, `foreign_next_link` for a
    cursor that is an address: it is a token of Delivr.ai's own and is never followed.
    """
    members = decode_page(body, _MEMBERS, VENDOR)
    inner = members.get("response")
    if inner is not None and bytes(inner)[:1] == b"{":
        members = decode_page(bytes(inner), _MEMBERS, VENDOR)
    keys = (dialect.list_key,) if dialect.list_key else LIST_KEYS
    found = next((members[key] for key in keys if key in members), None)
    has_list = any(bytes(value)[:1] == b"[" for value in members.values())  # under a name nobody knows: not empty
    if found is None and (has_list or not any(key in members for key in _PAGE_KEYS)):
        raise _unparsable()
    try:
        records = (_LIST.decode(found) or []) if found is not None else []
        cursor = _cursor_of(members, dialect)
    except UNREADABLE:
        raise _unparsable() from None
    return Envelope(records, cursor)


def _cursor_of(members: _Members, dialect: Dialect) -> str:
    keys = dict.fromkeys((dialect.cursor_key, *_CURSOR_KEYS))
    raw = next((members[key] for key in keys if key in members), None)
    found = None if raw is None else _CURSOR.decode(raw)
    cursor = "" if found is None else str(found)
    if "://" in cursor or cursor.startswith("//"):
        raise Broken(
            "foreign_next_link",
            "Delivr.ai's cursor of the next page is an address, and is not followed.",
            next_step="Report this; nothing of that page was read.",
        )
    if len(cursor) > _LONGEST_CURSOR:
        raise _unparsable()
    return cursor


def _unparsable() -> Broken:
    return Broken(
        "unparsable_page",
        "Delivr.ai sent a page that is not what its contract promises.",
        next_step="Sync again; if it stays, check the options list_key and cursor_key.",
    )
