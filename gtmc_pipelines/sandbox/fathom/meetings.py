"""Meetings of one account, worked out from (seed, account, number) when asked for; changes lie over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gtmc_pipelines.sandbox.dice import key_of, roll, token
from gtmc_pipelines.sandbox.fathom import talk
from gtmc_pipelines.sandbox.world import World

START_SECONDS = int(datetime(2024, 7, 1, tzinfo=UTC).timestamp())
SPAN_SECONDS = 730 * 86_400
"""The seeded history: the two years before 1 July 2026, as with the other vendors."""
USERS_START = 20_000_000
"""The account's own users are the world's people from this number on, as Salesforce's are."""
USERS = 8
PEOPLE = 300
TEAMS = ("Sales", "Customer Success", "Marketing")
TYPES = ("Discovery", "Demo", "QBR")
_MATCHES_SINCE = int(datetime(2025, 2, 1, tzinfo=UTC).timestamp())
_TITLES = (
    "Intro call",
    "Demo",
    "QBR",
    "Pricing discussion",
    "Onboarding kick-off",
    "Weekly sync",
    "Renewal: Ærø & Søn",
)


class Colleague(NamedTuple):
    """A user of the account."""

    name: str
    email: str
    team: str


@dataclass(frozen=True, slots=True)
class Includes:
    """What a list was asked to hold besides the always-there fields."""

    transcript: bool = False
    summary: bool = False
    action_items: bool = False
    crm_matches: bool = False
    highlights: bool = False


ALL = Includes(True, True, True, True, True)


class Meetings:
    """How the meetings of one account look. `transcript_bytes` is the usual size of what is said."""

    def __init__(self, seed: int, account: str, transcript_bytes: int) -> None:
        self.account, self.domain = account, f"{account}.example"
        self.world = World(seed, account)
        self._key = key_of(seed, account, "meetings")
        self._size = transcript_bytes
        self.first_id = 1_000_000 * (1 + key_of(seed, account, "recordings") % 900)
        self.users = [self._user(number) for number in range(USERS)]

    def created(self, number: int, total: int) -> int:
        """Unix seconds at which the seeded meeting of this number was made; grows with the number."""
        step = SPAN_SECONDS // max(1, total)
        return START_SECONDS + number * step + roll(self._key, number) % max(1, step)

    def document(self, number: int, created: int, changes: Mapping[str, Any], wanted: Includes) -> dict[str, Any]:
        """The meeting as `GET /meetings` has it. `changes` overrides members and says what isn't ready yet."""
        dice, recording_id = roll(self._key, number), self.first_id + number
        seconds, owner = 300 + dice % 3_300, self.users[(dice >> 20) % USERS]
        end = created - 35 - (dice >> 12) % 60
        invitees = self._invitees(dice, owner)
        external = any(one["is_external"] for one in invitees)
        title = str(changes.get("title", _TITLES[(dice >> 28) % len(_TITLES)]))
        record: dict[str, Any] = {
            "title": title,
            "meeting_title": None if not invitees else f"{title} ({owner.team})",
            "meeting_type": (*TYPES, None)[(dice >> 33) % 4],
            "recording_id": recording_id,
            "url": f"https://fathom.video/calls/{recording_id}",
            "share_url": f"https://fathom.video/share/{token(24, self.account, recording_id)}",
            "meeting_url": None if not invitees else f"https://meet.example/{token(10, self.account, number)}",
            "created_at": spelled(created),
            "scheduled_start_time": spelled((end - seconds) // 900 * 900),
            "scheduled_end_time": spelled((end - seconds) // 900 * 900 + 3_600),
            "recording_start_time": spelled(end - seconds),
            "recording_end_time": spelled(end),
            "calendar_invitees_domains_type": "one_or_more_external" if external else "only_internal",
            "shared_with": ("no_teams", "single_team", "multiple_teams", "all_teams")[(dice >> 36) % 4],
            "transcript_language": "en",
            "calendar_invitees": invitees,
            "recorded_by": {**owner._asdict(), "email_domain": self.domain},
        }
        record |= {name: value for name, value in changes.items() if name in record}
        return record | self._extras(record, dice, changes, wanted)

    def spoken(self, record: Mapping[str, Any], changes: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """The transcript; None while it isn't ready."""
        if not changes.get("transcript_ready", True):
            return None
        if "transcript" in changes:
            said: list[dict[str, Any]] | None = changes["transcript"]
            return said
        people = [(one["name"], one["email"]) for one in record["calendar_invitees"] if one["name"]]
        speakers: list[talk.Speaker] = [*people, (record["recorded_by"]["name"], None), ("Speaker 9", None)]
        start, end = (datetime.fromisoformat(record[f"recording_{side}_time"]) for side in ("start", "end"))
        size = int(changes.get("transcript_bytes", self._size))
        return talk.transcript(self._talk_key(record), size, speakers, int((end - start).total_seconds()))

    def summary(self, record: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any] | None:
        """The summary; None while it isn't ready."""
        if not changes.get("summary_ready", True):
            return None
        if "summary" in changes:
            return {"template_name": "general", "markdown_formatted": changes["summary"]}
        return talk.summary(self._talk_key(record), record["title"])

    def _talk_key(self, record: Mapping[str, Any]) -> int:
        return key_of(self._key, "talk", record["recording_id"])

    def _extras(
        self, record: dict[str, Any], dice: int, changes: Mapping[str, Any], wanted: Includes
    ) -> dict[str, Any]:
        """Members that come only when asked for: null otherwise, or not there at all (both happen)."""
        extras: dict[str, Any] = {
            "transcript": self.spoken(record, changes) if wanted.transcript else None,
            "default_summary": self.summary(record, changes) if wanted.summary else None,
            "action_items": self._action_items(record, dice) if wanted.action_items else None,
        }
        if wanted.transcript and datetime.fromisoformat(record["created_at"]).timestamp() > _MATCHES_SINCE:
            extras["calendar_invitees"] = [
                {**one, "matched_speaker_display_name": one["name"]} for one in record["calendar_invitees"]
            ]
        if wanted.highlights:
            extras["highlights"] = [
                {
                    "type": "highlight",
                    "summary": None,
                    "start_time": 10.5,
                    "end_time": 20.0,
                    "text": talk.sentence(dice),
                }
            ]
        if wanted.crm_matches:
            extras["crm_matches"] = {"contacts": [], "companies": [], "deals": [], "error": None}
        return extras

    def _action_items(self, record: Mapping[str, Any], dice: int) -> list[dict[str, Any]]:
        at = dice % 200
        owner = record["recorded_by"]
        return [
            {
                "description": "Send the quote",
                "user_generated": False,
                "completed": dice % 2 == 0,
                "recording_timestamp": talk.clock(at),
                "recording_playback_url": f"{record['url']}#t={at}",
                "assignee": {name: owner[name] for name in ("name", "email", "team")},
            }
        ]

    def _invitees(self, dice: int, owner: Colleague) -> list[dict[str, Any]]:
        """The owner and up to three of the world's people; some meetings are internal, some ad hoc with nobody."""
        kind = (dice >> 44) % 12
        if kind == 0:
            return []
        found: list[tuple[str, str | None]] = [(owner.name, owner.email)]
        if kind == 1:
            found.append(self.users[(dice >> 50) % USERS][:2])
        else:
            for step in range(1 + (dice >> 48) % 3):
                person = self.world.person(roll(dice, step) % PEOPLE)
                found.append((f"{person.first_name} {person.last_name}", person.email))
        if kind == 2:
            found.append(("+1 555 0100", None))  # dialled in
        return [self._invitee(name, email) for name, email in dict.fromkeys(found)]

    def _invitee(self, name: str, email: str | None) -> dict[str, Any]:
        domain = email.rpartition("@")[2] if email else None
        return {
            "name": name,
            "email": email,
            "email_domain": domain,
            "is_external": domain != self.domain,
            "matched_speaker_display_name": None,
        }

    def _user(self, number: int) -> Colleague:
        person = self.world.person(USERS_START + number)
        local = "admin" if number == 0 else person.email.split("@")[0]
        return Colleague(f"{person.first_name} {person.last_name}", f"{local}@{self.domain}", TEAMS[number % 3])


def spelled(seconds: int) -> str:
    """`2026-01-15T17:01:30Z`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
