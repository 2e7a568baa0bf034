"""What canonical rows must be, worked out from the copies in the imitated mailboxes, independently of our code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Record = Mapping[str, Any]

_LONGEST = timedelta(days=45)
"""Between the look-back of a first read (30 days) and the age of the sandbox's old mails (60 days and more)."""


def expected(records: Callable[[str], Iterable[Record]]) -> dict[str, dict[str, dict[str, Any]]]:
    """One activity for each mail that somebody of the suggested domains wrote or got, however many copies it has."""
    suggested = list(records("AllowedDomain"))
    allowed = {one["domain"] for one in suggested} - {one["own_domain"] for one in suggested}
    own = {one["own_domain"] for one in suggested}
    oldest = datetime.now(UTC) - _LONGEST
    activities: dict[str, dict[str, Any]] = {}
    for copy in records("Message"):
        if copy["folder"] in ("inbox", "sentitems") and _moment(copy["receivedDateTime"]) >= oldest:
            people = _people(copy)
            outside = [address for address in people if _domain(address) in allowed]
            if outside:
                activities[_key(copy["internetMessageId"])] = _activity(copy, people, outside[0], own)
    return {"activities": activities}


def _activity(copy: Record, people: list[str], contact: str, own: set[str]) -> dict[str, Any]:
    return {
        "type": "email_thread",
        "channel": "email",
        "occurred_at": _moment(copy["sentDateTime"]),
        "person_external_id": contact,
        "properties": {
            "direction": "outbound" if _domain(people[0]) in own else "inbound",
            "participant_count": len(set(people)),
            "conversation_id": copy["conversationId"],
        },
    }


def _people(copy: Record) -> list[str]:
    parties = [copy["from"], *copy["toRecipients"], *copy["ccRecipients"]]
    return [party["emailAddress"]["address"].lower() for party in parties]


def _key(internet_id: str) -> str:
    digest = hashlib.blake2b(internet_id.encode(), digest_size=16).digest()
    return "email_" + base64.urlsafe_b64encode(digest).decode().strip("=")


def _domain(address: str) -> str:
    return address.split("@")[-1]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
