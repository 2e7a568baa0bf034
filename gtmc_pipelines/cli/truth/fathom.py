"""What canonical rows must be, worked out from Fathom's own meetings, independently of our mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from math import fsum
from typing import Any

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

Record = Mapping[str, Any]


def expected(records: Callable[[str], Iterable[Record]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Meetings, and the lean activity of each, of one account."""
    meetings: dict[str, dict[str, Any]] = {}
    activities: dict[str, dict[str, Any]] = {}
    for record in records("meetings"):
        key = str(record["recording_id"])
        meetings[key] = _meeting(record)
        activities[f"fathom_{key}"] = _activity(record)
    return {"fathom_meetings": meetings, "activities": activities}


def _meeting(record: Record) -> dict[str, Any]:
    said = record.get("transcript") or []
    return {
        "fathom_meeting_id": str(record["recording_id"]),
        "title": record["title"].strip() or None,
        "occurred_at": _moment(record["recording_start_time"]),
        "duration_seconds": _seconds(record),
        "recorded_by_email": record["recorded_by"]["email"].lower(),
        "participants": [
            {
                "name": one["name"],
                "email": one["email"].lower() if one["email"] else None,
                "is_external": one["is_external"],
            }
            for one in record["calendar_invitees"]
        ],
        "participant_count": len(record["calendar_invitees"]),
        "transcript": "\n".join(f"{one['speaker']['display_name']}: {one['text'].strip()}" for one in said) or None,
        "summary": (record.get("default_summary") or {}).get("markdown_formatted"),
        "sentiment_score": _score(said),
    }


def _activity(record: Record) -> dict[str, Any]:
    known = [one for one in record["calendar_invitees"] if one["email"]]
    first = next((one for one in known if one["is_external"]), known[0] if known else None)
    return {
        "type": "meeting_recorded",
        "channel": "video",
        "occurred_at": _moment(record["created_at"]),
        "person_external_id": first["email"].lower() if first else None,
        "properties": {
            "source": "fathom",
            "fathomMeetingId": str(record["recording_id"]),
            "participantCount": len(record["calendar_invitees"]),
            "durationSeconds": _seconds(record),
        },
    }


def _score(said: Iterable[Record]) -> Decimal | None:
    """Mean of the utterances' compound scores, weighed by their length (the sandbox's are all short)."""
    texts = [one["text"].strip() for one in said]
    length = sum(map(len, texts))
    if not length:
        return None
    total = fsum(float(_analyzer().polarity_scores(text)["compound"]) * len(text) for text in texts)
    return Decimal(str(round(total / length, 4)))


def _seconds(record: Record) -> int:
    return int((_moment(record["recording_end_time"]) - _moment(record["recording_start_time"])).total_seconds())


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@cache
def _analyzer() -> Any:
    return SentimentIntensityAnalyzer()
