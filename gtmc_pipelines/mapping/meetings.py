"""What a recorded meeting is made of: transcripts as plain text, the people invited, its length.

Lists come as recorders word them: utterances `{speaker: {display_name}, text, timestamp}` and invitees
`{name, email, is_external}`. Whatever is missing or of another type is left out, not guessed.
"""

from __future__ import annotations

from typing import Any

from gtmc_pipelines.mapping import coerce
from gtmc_pipelines.model.addresses import plain_address
from gtmc_pipelines.model.machine_addresses import is_machine


def utterances(transcript: Any) -> list[tuple[str, str]]:
    """(speaker's name, what was said) of every utterance that says something; the name may be empty."""
    if not isinstance(transcript, list):
        return []
    found = []
    for item in transcript:
        text = item.get("text") if isinstance(item, dict) else None
        if isinstance(text, str) and text.strip():
            speaker = item.get("speaker")
            name = speaker.get("display_name") if isinstance(speaker, dict) else None
            found.append((name if isinstance(name, str) else "", " ".join(text.split())))
    return found


def transcript_text(transcript: Any) -> str | None:
    """One utterance a line, `Name: words`; null when nobody said anything."""
    return "\n".join(f"{name}: {text}" if name else text for name, text in utterances(transcript)) or None


def participants(invitees: Any) -> list[dict[str, Any]] | None:
    """Name, email (in plain form) and is_external of each invitee; null when there is no list."""
    if not isinstance(invitees, list):
        return None
    return [
        {"name": one.get("name"), "email": _email(one), "is_external": one.get("is_external") is True}
        for one in invitees
        if isinstance(one, dict)
    ]


def participant_email(invitees: Any) -> str | None:
    """Email of the first external invitee, else of the first invitee who has one; never a machine's."""
    people = [one for one in participants(invitees) or [] if _is_somebodys(one["email"])]
    external = [one for one in people if one["is_external"]]
    return next((one["email"] for one in [*external, *people]), None)


def seconds_between(start: str | None, end: str | None) -> int | None:
    """Whole seconds from one ISO time to another; null when either is missing or they are out of order."""
    first, last = coerce.moment_of(start, "value"), coerce.moment_of(end, "value")
    if first is None or last is None:
        return None
    seconds = int((last - first).total_seconds())
    return seconds if seconds >= 0 else None


def _is_somebodys(email: str | None) -> bool:
    return bool(email) and plain_address(email or "") is not None and not is_machine(email or "")


def _email(invitee: dict[str, Any]) -> str | None:
    email = invitee.get("email")
    return (plain_address(email) or email.strip().lower() or None) if isinstance(email, str) else None
