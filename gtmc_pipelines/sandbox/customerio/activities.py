"""The imitated workspace's activities: events, pages, screens, changes of attributes, and what messages did."""

from __future__ import annotations

from typing import Any

from gtmc_pipelines.sandbox.customerio.messages import Messages
from gtmc_pipelines.sandbox.customerio.people import PLANS
from gtmc_pipelines.sandbox.customerio.timeline import Timeline
from gtmc_pipelines.sandbox.dice import key_of, roll

HISTORY_SECONDS = 29 * 86_400
EVENTS = (
    "form_submitted",
    "Demo Requested",
    "whitepaper_downloaded",
    "pricing_viewed",
    "webinar_attended",
    "trial_started",
    "ad_clicked",
)
PAGES = ("pricing", "docs/start", "blog/scoring", "customers")
_TYPES = (
    *("event",) * 8,
    *("page",) * 5,
    "screen",
    "attribute_change",
    "profile_create",
    "sent_email",
    "opened_email",
    "clicked_email",
    "opened_push",
)
_PLATFORMS = ("ios", "android")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Activities:
    """What people did; `patches` hold those created later."""

    def __init__(self, messages: Messages, base: int, anchor: int) -> None:
        self.messages, self.people = messages, messages.people
        self.timeline = Timeline(base if self.people.base else 0, anchor - HISTORY_SECONDS, anchor)
        self.key = key_of(self.people.world.seed, self.people.world.tenant, "customerio", "activities")
        self.patches: dict[int, dict[str, Any]] = {}

    def id_of(self, index: int) -> str:
        """The activity's id: 26 characters, as a ULID has."""
        digits = ""
        for _ in range(12):
            index, digit = divmod(index, 32)
            digits = _ALPHABET[digit] + digits
        return f"01HX{self.people.code.upper()}ACT000{digits}"

    def index_of(self, activity_id: str) -> int | None:
        """The activity with this id."""
        index = 0
        for letter in activity_id[-12:]:
            if letter not in _ALPHABET:
                return None
            index = index * 32 + _ALPHABET.index(letter)
        return index if self.timeline.exists(index) and self.id_of(index) == activity_id else None

    def person_of(self, index: int) -> int:
        """Whose it is."""
        chosen = self.patches.get(index, {}).get("person")
        return int(chosen) if chosen is not None else (roll(self.key, index) >> 30) % max(1, self.people.base)

    def record(self, index: int) -> dict[str, Any]:
        """An activity as `/activities` words it: exactly these keys; an event's name is inside `data`.

        `delivery_type` is one of the published ones (ios, android, email, phone), and there for deliveries only.
        """
        dice, patch = roll(self.key, index), self.patches.get(index, {})
        kind = patch.get("type") or _TYPES[dice % len(_TYPES)]
        identifiers = self.people.identifiers(self.person_of(index))
        is_message = kind.endswith(("_email", "_push"))
        data = patch.get("data") or self._data(kind, dice)
        delivery = self._delivery(dice) if is_message else ""
        told = {
            "id": self.id_of(index),
            "type": kind,
            "timestamp": self.timeline.time_of(index),
            "customer_id": identifiers["id"] or "",
            "customer_identifiers": identifiers,
            "data": {"delivery_id": delivery, **data} if is_message else data,
            "delivery_id": delivery,
        }
        if is_message:
            told["delivery_type"] = "email" if kind.endswith("_email") else _PLATFORMS[(dice >> 40) % 2]
        return told

    def create(self, stamp: int, patch: dict[str, Any], index: int | None = None) -> int:
        """An activity at `stamp`."""
        index = self.timeline.add(stamp, index)
        self.patches[index] = patch
        return index

    def _delivery(self, dice: int) -> str:
        deliveries = self.messages.timeline.base
        return self.messages.id_of((dice >> 20) % deliveries) if deliveries else ""

    def _data(self, kind: str, dice: int) -> dict[str, Any]:
        if kind == "event":
            return {"name": EVENTS[(dice >> 8) % len(EVENTS)], "plan": PLANS[(dice >> 14) % len(PLANS)]}
        if kind in ("page", "screen"):
            path = PAGES[(dice >> 8) % len(PAGES)]
            return {"name": f"https://www.sandbox.example/{path}" if kind == "page" else path}
        if kind == "attribute_change":
            return {"plan": {"from": PLANS[(dice >> 8) % 4], "to": PLANS[(dice >> 10) % 4]}}
        return {}
