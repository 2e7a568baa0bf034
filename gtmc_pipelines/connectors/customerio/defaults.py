"""Default mappings of Customer.io: people, and activities in the scorer's words (README.md has them as tables).

`personExternalId` is always the person's `cio_id`, the key people are stored under: it never changes and
outlives a deletion. Activities stay lean: no subject, no address, nothing of an event's own data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.entities import Entity

_TRIM = Transform.TRIM


def _entry(source: str, target: str, transform: Transform = Transform.NONE, **more: object) -> MappingEntry:
    return MappingEntry(source, target, transform, None, bool(more.get("required")), _stream(more))


def _custom(source: str, target: str, expression: str, **more: object) -> MappingEntry:
    return MappingEntry(source, target, Transform.CUSTOM, expression, bool(more.get("required")), _stream(more))


def _stream(more: Mapping[str, object]) -> str | None:
    stream = more.get("stream")
    return None if stream is None else str(stream)


_PERSON_DATA = "{'customer_id': value, 'unsubscribed': record.unsubscribed}"

_PERSON = (
    _entry("attributes.first_name", "firstName", _TRIM),
    _entry("attributes.last_name", "lastName", _TRIM),
    _custom("identifiers.email", "email", "email(value)"),
    _entry("attributes.title", "title", _TRIM),
    _entry("attributes.phone", "phone", _TRIM),
    _entry("attributes.company", "companyName", _TRIM),
    _custom("id", "sourceData", _PERSON_DATA),
)

_WHO = "coalesce(value, record.customer_id)"

_MAIL_TYPE = "value == 'opened' ? 'email_open' : (value == 'clicked' ? 'email_click' : 'email_sent')"
_MAIL_DETAILS = (
    "{'delivery_id': value, 'campaign_id': record.campaign_id, 'newsletter_id': record.newsletter_id,"
    " 'broadcast_id': record.broadcast_id, 'action_id': record.action_id}"
)

EVENT_TYPES: Mapping[str, Sequence[str]] = {
    "demo_request": ("demo_request", "demo_requested", "request_demo", "demo_booked"),
    "event_attend": ("event_attend", "event_attended", "webinar_attend", "webinar_attended"),
    "meeting_attend": ("meeting_attend", "meeting_attended"),
    "form_fill": ("form_fill", "form_filled", "form_submit", "form_submitted", "form_submission"),
    "content_download": (
        *("content_download", "content_downloaded", "whitepaper_download", "whitepaper_downloaded"),
        *("ebook_download", "ebook_downloaded"),
    ),
    "ad_click": ("ad_click", "ad_clicked"),
    "page_view": ("page_view", "page_viewed", "viewed_page"),
}
"""Names of custom events, in lower case with underscores, that are one of the scorer's types."""

CHANNELS: Mapping[str, str] = {
    "demo_request": "web",
    "event_attend": "events",
    "meeting_attend": "meetings",
    "form_fill": "web",
    "content_download": "content",
    "ad_click": "ads",
    "page_view": "web",
}
"""The scorer's channel of each of those types; everything else is in channel `other`."""

_NAME = "lower(replace(replace(trim(coalesce(value, '')), ' ', '_'), '-', '_'))"


def _by_name(results: Mapping[str, str], others: str) -> str:
    """An expression that looks an event's name up; pages and screens are page views, `others` is the rest."""
    chain = others
    for kind, names in reversed(list(EVENT_TYPES.items())):
        listed = ", ".join(f"'{name}'" for name in names)
        chain = f"({_NAME} in [{listed}] ? '{results[kind]}' : {chain})"
    return (
        f"record.type in ['page', 'screen'] ? '{results['page_view']}' : (record.type != 'event' ? {others} : {chain})"
    )


_EVENT_TYPE = _by_name({kind: kind for kind in EVENT_TYPES}, "record.type")
_EVENT_CHANNEL = _by_name(CHANNELS, "'other'")
_EVENT_DETAILS = "{'source_type': record.type, 'name': substring(coalesce(value, ''), 0, 500)}"

_ACTIVITY = (
    _custom("metric", "type", _MAIL_TYPE, required=True, stream="email_events"),
    _custom("metric", "channel", "'email'", required=True, stream="email_events"),
    _entry("occurred_at", "occurredAt", required=True, stream="email_events"),
    _custom("customer_identifiers.cio_id", "personExternalId", _WHO, stream="email_events"),
    _custom("id", "properties", _MAIL_DETAILS, stream="email_events"),
    _custom("event_name", "type", _EVENT_TYPE, required=True, stream="behavioral_events"),
    _custom("event_name", "channel", _EVENT_CHANNEL, required=True, stream="behavioral_events"),
    _entry("timestamp", "occurredAt", required=True, stream="behavioral_events"),
    _custom("customer_identifiers.cio_id", "personExternalId", _WHO, stream="behavioral_events"),
    _custom("event_name", "properties", _EVENT_DETAILS, stream="behavioral_events"),
)

DEFAULT_MAPPINGS: Mapping[Entity, Sequence[MappingEntry]] = {
    Entity.PERSON: _PERSON,
    Entity.ACTIVITY: _ACTIVITY,
}
