"""What is said in the imitated meetings: sentences, transcripts of any length, summaries; all from the dice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gtmc_pipelines.sandbox.dice import roll

Speaker = tuple[str, str | None]
"""Display name, and the email when the recorder knows whose voice it is."""

_SENTENCES: tuple[str, ...] = (
    "Thanks for joining, let us walk through the agenda before {thing} comes up.",
    "We are very happy with {thing} so far, the team loves it!",
    "Honestly, {thing} has been a disappointment and people are frustrated.",
    "Can you say how {thing} behaves when two regions write at once?",
    "The numbers for {number} weeks are in the sheet I sent on Monday.",
    "I am worried that {thing} will be late again, that was a terrible quarter.",
    "Great, that is exactly what we hoped for.",
    "It is not bad, but it isn't good enough for procurement either.",
    "Let me share my screen; you should see {thing} on the left.",
    "Wir müssen {thing} noch mit der Rechtsabteilung klären, größere Änderungen dauern.",
    "Our budget is about {number} thousand, give or take.",
    "Right.",
    "Yeah, makes sense.",
    "The rollout to {number} seats went smoothly and support was excellent 🙂",
    "I hate to say it, but the migration failed twice and we lost a day.",
    "Could we put {thing} on the list for the next call?",
    "So the contract would start in {number} days, with the usual terms.",
    "今日はありがとうございました, see you next week.",
    "If {thing} works as promised, we will sign; if not, we have a problem.",
    'He said "{thing} first", and I agree with that.',
    "Sorry, I was on mute. The short answer is: it depends on {thing}.",
    "Please send the security questionnaire, all {number} questions of it.",
)
_THINGS: tuple[str, ...] = (
    "the dashboard",
    "single sign-on",
    "the data warehouse sync",
    "onboarding",
    "the pilot",
    "the pricing model",
    "the mobile app",
    "lead scoring",
    "the Salesforce connector",
    "the quarterly review",
)
_OUTCOMES: tuple[str, ...] = ("Next step agreed", "Open question", "Risk raised", "Praise", "Decision postponed")


def sentence(dice: int) -> str:
    """One sentence by the dice."""
    text = _SENTENCES[dice % len(_SENTENCES)]
    return text.format(thing=_THINGS[(dice >> 16) % len(_THINGS)], number=2 + (dice >> 24) % 90)


def transcript(key: int, size: int, speakers: Sequence[Speaker], seconds: int) -> list[dict[str, Any]]:
    """Utterances of about `size` characters of text, spread over `seconds`; of at least one."""
    said: list[tuple[str, Speaker]] = []
    length = turn = 0
    while length < size or not said:
        dice = roll(key, turn)
        text = " ".join(sentence(roll(key ^ 0x5EED, turn * 4 + part)) for part in range(1 + (dice >> 8) % 3))
        said.append((text, speakers[(dice >> 40) % len(speakers)]))
        length, turn = length + len(text), turn + 1
    return [
        {
            "speaker": {"display_name": name, "matched_calendar_invitee_email": email},
            "text": text,
            "timestamp": clock(position * seconds // len(said)),
        }
        for position, (text, (name, email)) in enumerate(said)
    ]


def summary(key: int, title: str) -> dict[str, Any]:
    """A summary in Markdown; always English, whatever was spoken."""
    points = [
        f"- **{_OUTCOMES[roll(key, point) % len(_OUTCOMES)]}**: {sentence(roll(key, 100 + point))}"
        for point in range(2 + key % 4)
    ]
    return {"template_name": "general", "markdown_formatted": "\n".join([f"## {title}", "", *points])}


def clock(seconds: int) -> str:
    """`00:10:45`."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
