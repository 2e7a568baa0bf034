"""Records of Delivr.ai: id, bytes and time of each, and events of the public API put into the signals' shape.

A signal or company keeps the vendor's bytes. Neither gets a change time: signals have none, and companies
are read whole each time, so what was read last is true, whatever its `updatedAt` says. An event or company
of the public API becomes an object with the names of the platform's contract; the vendor's own bytes are
kept whole in it as `vendorRecord`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from gtmc_pipelines.model.domains import plain_domain
from gtmc_pipelines.model.errors import Reject
from gtmc_pipelines.model.records import RejectedRecord, SourceRecord

Shaped = tuple[SourceRecord, datetime | None]
"""A record, and when it happened, if it says so."""


class _Signal(msgspec.Struct):
    """What has to be known of a signal before it is mapped."""

    id: str | int | None = None
    occurredAt: msgspec.Raw = msgspec.Raw(b"null")


class _Company(msgspec.Struct):
    """What has to be known of a company before it is mapped."""

    domain: str | None = None


_SIGNAL = msgspec.json.Decoder(_Signal)
_COMPANY = msgspec.json.Decoder(_Company)
_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])

# Names under which the public API's columns appear; they depend on the tier, so the first that is there counts.
_EVENT_ID = ("event_id", "id")
_PERSON_ID = ("hem", "person_id", "cookie_id")
_EMAIL = ("email", "current_business_email", "business_email", "personal_email")
_EVENT_DOMAIN = ("company_domain", "domain")
_URL = ("url", "page_url", "source_url")
_TOPIC = ("topic", "page_title", "title")
_TIME = ("timestamp_ms", "event_time", "timestamp", "event_timestamp")
_DWELL = ("dwell_time_seconds", "time_on_page")
_SESSION = ("session_id",)
_COMPANY_DOMAIN = ("domain", "company_domain")
_COMPANY_FIELDS = {
    "name": ("name", "company_name"),
    "industry": ("industry", "company_industry"),
    "employeeCount": ("employee_count", "company_employee_count"),
    "annualRevenue": ("annual_revenue", "company_annual_revenue"),
}


def signal(data: bytes) -> Shaped:
    """A signal of the platform's contract. Raises Reject (`missing_id`)."""
    head = _SIGNAL.decode(data)
    if head.id is None or head.id == "":
        raise Reject("missing_id", "The record has no id.", field="id")
    return SourceRecord(str(head.id), data, None), _moment(msgspec.json.decode(head.occurredAt))


def company(data: bytes) -> Shaped:
    """A company of the platform's contract; its id is its domain in plain form. Raises Reject (`missing_id`)."""
    return SourceRecord(_key(_COMPANY.decode(data).domain), data, None), None


def event(data: bytes) -> Shaped:
    """A row of the public API's events, as a signal. Raises Reject (`missing_id`) when nothing tells it apart."""
    row = _OBJECT.decode(data)
    at = _moment(_first(row, _TIME))
    person, url = _first(row, _PERSON_ID), _first(row, _URL)
    key = _first(row, _EVENT_ID)
    if key is None and at is None:
        raise Reject("missing_id", "The event has neither an id nor a time.", field="event_id")
    document = {
        "id": str(key) if key is not None else _natural_key(at, person, url, row.get("event_type")),
        "personId": person,
        "personEmail": _first(row, _EMAIL),
        "accountDomain": _first(row, _EVENT_DOMAIN),
        "contentUrl": url,
        "contentTopic": _first(row, _TOPIC),
        "occurredAt": at.isoformat() if at else _first(row, _TIME),
        "dwellTimeSeconds": _first(row, _DWELL),
        "sessionId": _first(row, _SESSION),
        "vendorRecord": msgspec.Raw(data),
    }
    return SourceRecord(str(document["id"]), msgspec.json.encode(document), None), at


def public_company(data: bytes) -> Shaped:
    """A company of an audience or of a topic, with the names of the platform's contract. Raises Reject."""
    row = _OBJECT.decode(data)
    key = _key(_first(row, _COMPANY_DOMAIN))
    facts = {name: _first(row, candidates) for name, candidates in _COMPANY_FIELDS.items()}
    document = {"domain": key, **facts, "vendorRecord": msgspec.Raw(data)}
    return SourceRecord(key, msgspec.json.encode(document), None), None


@dataclass(frozen=True, slots=True)
class Sorted:
    """Records of a page that can be landed with their times, and those that can't."""

    records: list[Shaped]
    rejects: list[RejectedRecord]


def sort_out(raws: Iterable[msgspec.Raw], shape: Callable[[bytes], Shaped]) -> Sorted:
    """Shape every record of a page; a bad one doesn't harm its neighbours."""
    found = Sorted([], [])
    for raw in raws:
        data = bytes(raw)
        try:
            found.records.append(shape(data))
        except Reject as reject:
            found.rejects.append(RejectedRecord(None, reject.code, reject.sentence))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            found.rejects.append(_malformed(data))
    return found


def _malformed(data: bytes) -> RejectedRecord:
    if data.lstrip()[:1] != b"{":
        return RejectedRecord(None, "not_an_object", "The record is not an object.")
    return RejectedRecord(None, "malformed_record", "A field that identifies the record has another type or form.")


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _key(domain: Any) -> str:
    plain = plain_domain(domain) if isinstance(domain, str) else None
    if plain is None:
        raise Reject("missing_id", "The company has no domain, or what stands there is none.", field="domain")
    return plain


def _natural_key(at: datetime | None, *parts: Any) -> str:
    """An id for an event without one: the same person on the same page at the same moment is the same event."""
    text = "\x1f".join([at.isoformat() if at else "", *(str(part) for part in parts)])
    return "evt_" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _moment(value: Any) -> datetime | None:
    """An ISO time or unix (milli)seconds, aware; None for anything else: the mapping has the last word."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if abs(value) > 100_000_000_000 else value
            return datetime.fromtimestamp(seconds, UTC)
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
