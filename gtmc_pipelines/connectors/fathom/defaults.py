"""Default mappings of Fathom: one rich meeting and one lean activity of each recording (README.md has the table).

The activity has the documented shape (reference/domain.md, section 4.5); transcript, summary and title stay
in the meeting's row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gtmc_pipelines.mapping.entry import MappingEntry, Transform
from gtmc_pipelines.model.entities import Entity


def _entry(source: str, target: str, transform: Transform = Transform.NONE, *, required: bool = False) -> MappingEntry:
    return MappingEntry(source, target, transform, None, required)


def _custom(source: str, target: str, expression: str, *, required: bool = False) -> MappingEntry:
    return MappingEntry(source, target, Transform.CUSTOM, expression, required)


_SECONDS = "seconds_between(record.recording_start_time, record.recording_end_time)"
_COUNT = "value == null ? 0 : size(value)"

_MEETING = (
    _entry("recording_id", "fathomMeetingId", required=True),
    _custom("title", "title", "trim(coalesce(value, record.meeting_title))"),
    _custom(
        "recording_start_time",
        "occurredAt",
        "coalesce(value, record.scheduled_start_time, record.created_at)",
        required=True,
    ),
    _custom("recording_end_time", "durationSeconds", "seconds_between(record.recording_start_time, value)"),
    _custom("recorded_by.email", "recordedByEmail", "email(value)"),
    _custom("calendar_invitees", "participants", "participants(value)"),
    _custom("calendar_invitees", "participantCount", _COUNT),
    _custom("transcript", "transcript", "transcript_text(value)"),
    _entry("default_summary.markdown_formatted", "summary"),
    _custom("transcript", "sentimentScore", "sentiment_score(value)"),
    _custom("transcript", "sentiment", "sentiment(value)"),
)

_DETAILS = (
    "{'source': 'fathom', 'fathomMeetingId': text(record.recording_id),"
    f" 'participantCount': {_COUNT}, 'durationSeconds': {_SECONDS}}}"
)

_ACTIVITY = (
    _custom("recording_id", "type", "'meeting_recorded'", required=True),
    _custom("recording_id", "channel", "'video'", required=True),
    _entry("created_at", "occurredAt", required=True),
    _custom("calendar_invitees", "personExternalId", "participant_email(value)"),
    _custom("calendar_invitees", "properties", _DETAILS),
)

DEFAULT_MAPPINGS: Mapping[Entity, Sequence[MappingEntry]] = {
    Entity.MEETING: _MEETING,
    Entity.ACTIVITY: _ACTIVITY,
}
