"""What canonical rows must be, worked out from Customer.io's own records, independently of our mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Record = Mapping[str, Any]
Row = dict[str, Any]

_MAIL = {"sent": "email_sent", "opened": "email_open", "clicked": "email_click"}
_EVENTS = {
    "form_submitted": ("form_fill", "web"),
    "demo_requested": ("demo_request", "web"),
    "whitepaper_downloaded": ("content_download", "content"),
    "webinar_attended": ("event_attend", "events"),
    "ad_clicked": ("ad_click", "ads"),
}


def expected(records: Callable[[str], Iterable[Record]]) -> dict[str, dict[str, Row]]:
    """People, and activities (mails sent, opened, clicked; what people did) of one workspace."""
    activities: dict[str, Row] = {}
    for record in records("messages"):
        activities.update(_of_mail(record))
    for record in records("activities"):
        row = _of_activity(record)
        if row is not None:
            activities[record["id"]] = row
    people = {record["identifiers"]["cio_id"]: _person(record) for record in records("people")}
    return {"people": people, "activities": activities}


def _person(record: Record) -> Row:
    said = record["attributes"]
    email = record["identifiers"]["email"]
    return {
        "first_name": _trimmed(said.get("first_name")),
        "last_name": _trimmed(said.get("last_name")),
        "email": email.strip().lower() if email else None,
        "title": _trimmed(said.get("title")),
        "phone": _trimmed(said.get("phone")),
        "company_name": _trimmed(said.get("company")),
        "source_data": {"customer_id": record["id"], "unsubscribed": record["unsubscribed"]},
    }


def _of_mail(record: Record) -> Iterator[tuple[str, Row]]:
    if record["type"] != "email":
        return
    details = ("campaign_id", "newsletter_id", "broadcast_id", "action_id")
    for metric, kind in _MAIL.items():
        at = _human_time(record["metrics"], metric)
        if at is not None:
            properties = {"delivery_id": record["id"], **{name: record.get(name) for name in details}}
            yield f"{record['id']}:{metric}", _activity(record, kind, "email", at, properties)


def _human_time(metrics: Mapping[str, int], metric: str) -> int | None:
    """When it happened; None when it didn't, or when only a machine did it."""
    at, human = metrics.get(metric), metrics.get(f"human_{metric}")
    if human is None and f"prefetch_{metric}" in metrics:
        return None
    return human if human is not None and human > 1_000_000_000 else at


def _of_activity(record: Record) -> Row | None:
    kind, name = record["type"], record["data"].get("name") or None
    if kind in ("page", "screen"):
        found = ("page_view", "web")
    elif kind == "event":
        found = _EVENTS.get((name or "").lower().replace(" ", "_"), ("event", "other"))
    elif kind in ("opened_push", "clicked_push"):
        found = (kind, "other")
    else:
        return None
    return _activity(record, *found, record["timestamp"], {"source_type": kind, "name": name})


def _activity(record: Record, kind: str, channel: str, at: int, properties: Row) -> Row:
    return {
        "type": kind,
        "channel": channel,
        "occurred_at": datetime.fromtimestamp(at, UTC),
        "person_external_id": record["customer_identifiers"]["cio_id"],
        "properties": properties,
    }


def _trimmed(text: str | None) -> str | None:
    return (text or "").strip() or None
