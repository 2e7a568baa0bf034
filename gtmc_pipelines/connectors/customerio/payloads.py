"""Payloads: a vendor record taken apart by its members, each of which keeps its own bytes."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import TypeGuard, TypeVar

import msgspec

from gtmc_pipelines.connectors.json_pages import UNREADABLE
from gtmc_pipelines.model.records import RejectedRecord

T = TypeVar("T")

Members = dict[str, msgspec.Raw]

NEVER_KEPT = frozenset(
    {"content", "headers", "body", "body_plain", "body_amp", "plaintext_body", "html", "text", "preheader"}
    | {"subject", "recipient", "failure_message", "deduplicate_id"}
)
"""Members of a delivery that are never landed: what it said, whom it addressed in words, what a mail server said."""

EARLIEST, LATEST = 1_000_000_000, 32_503_680_000
"""Unix seconds of 2001 and 3000: smaller numbers among times are counts."""

_MEMBERS = msgspec.json.Decoder(Members)
_MOST_RECENT = 5_000


def members_of(raw: msgspec.Raw) -> Members | RejectedRecord:
    """The members of a record, or why it is none."""
    try:
        return _MEMBERS.decode(raw)
    except msgspec.ValidationError:
        return RejectedRecord(None, "not_an_object", "The record is not an object.")
    except UNREADABLE:
        return RejectedRecord(None, "malformed_record", "The record is not valid JSON.")


def member(members: Members, name: str, kind: type[T]) -> T | None:
    """A member of this type; None when it is missing, null or of another type."""
    raw = members.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        return None


def id_of(members: Members) -> str | None:
    """A record's `id`, which may come as a number; None for none."""
    found = member(members, "id", str)
    if found is None and (number := member(members, "id", int)) is not None:
        return str(number)
    return found


def seconds_of(members: Members, name: str) -> int | None:
    """A time in unix seconds, fractions cut off; None for what is none."""
    found = whole(member(members, name, float))
    return found if is_moment(found) else None


def whole(value: object) -> object:
    """A time with fractions as whole seconds; anything else as it is."""
    return int(value) if isinstance(value, float) and EARLIEST <= value < LATEST else value


def payload_of(members: Members) -> bytes:
    """The record again."""
    return msgspec.json.encode(members)


def raw_of(value: object) -> msgspec.Raw:
    """A value as a member."""
    return msgspec.Raw(msgspec.json.encode(value))


def is_moment(value: object) -> TypeGuard[int]:
    """Whether a value is a time in unix seconds."""
    return isinstance(value, int) and not isinstance(value, bool) and EARLIEST <= value < LATEST


def moment(seconds: int) -> datetime:
    """Unix seconds as an aware time."""
    return datetime.fromtimestamp(seconds, UTC)


def missing_id() -> RejectedRecord:
    """The reject for a record without an id."""
    return RejectedRecord(None, "missing_id", "The record has no id.")


class Recent:
    """Ids met lately, so that what a shifting list shows twice is taken once. Bounded: shifts are small."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, record_id: str) -> bool:
        """Whether this id was not met lately; it is from now on."""
        if record_id in self._ids:
            return False
        self._ids[record_id] = None
        if len(self._ids) > _MOST_RECENT:
            self._ids.popitem(last=False)
        return True
