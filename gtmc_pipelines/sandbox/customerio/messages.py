"""The imitated workspace's deliveries: mails and pushes with metrics that say when each thing happened first."""

from __future__ import annotations

from typing import Any

from gtmc_pipelines.sandbox.customerio.people import People
from gtmc_pipelines.sandbox.customerio.timeline import Timeline
from gtmc_pipelines.sandbox.dice import key_of, roll

HISTORY_SECONDS = 120 * 86_400
SUBJECTS = (
    "Your week in numbers",
    "Welcome aboard",
    "Invitation: roadmap call",
    "Invoice ready",
    "Nice to meet you 👋",
)
METRICS = (
    *("created", "drafted", "attempted", "sent", "delivered", "opened", "clicked", "converted", "bounced"),
    *("spammed", "unsubscribed", "dropped", "failed", "undeliverable"),
    *("human_opened", "prefetch_opened", "human_clicked", "prefetch_clicked"),
)
_TYPES = ("email",) * 8 + ("push", "twilio")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Messages:
    """Deliveries to the seeded people; `patches` hold what was created or has changed later."""

    def __init__(self, people: People, base: int, anchor: int) -> None:
        self.people = people
        self.timeline = Timeline(base if people.base else 0, anchor - HISTORY_SECONDS, anchor)
        self.key = key_of(people.world.seed, people.world.tenant, "customerio", "messages")
        self.patches: dict[int, dict[str, Any]] = {}

    def id_of(self, index: int) -> str:
        """The delivery's id."""
        digits = ""
        for _ in range(8):
            index, digit = divmod(index, 36)
            digits = _DIGITS[digit] + digits
        return f"dg{self.people.code}UB{digits}"

    def index_of(self, message_id: str) -> int | None:
        """The delivery with this id."""
        try:
            index = int(message_id[-8:], 36)
        except ValueError:
            return None
        return index if self.timeline.exists(index) and self.id_of(index) == message_id else None

    def person_of(self, index: int) -> int:
        """Whom it went to."""
        chosen = self.patches.get(index, {}).get("person")
        return int(chosen) if chosen is not None else (roll(self.key, index) >> 33) % max(1, self.people.base)

    def record(self, index: int) -> dict[str, Any]:
        """A delivery as `/messages` words it: ids of the action and the content are left out where there are none."""
        dice, created, patch = roll(self.key, index), self.timeline.time_of(index), self.patches.get(index, {})
        kind = patch.get("type") or _TYPES[dice % len(_TYPES)]
        identifiers = self.people.identifiers(self.person_of(index))
        metrics = self._metrics(index, created, dice) | patch.get("metrics", {})
        is_failed = any(name in metrics for name in ("bounced", "failed", "dropped"))
        campaign = 10 + (dice >> 50) % 6
        is_newsletter = (dice >> 55) % 4 == 0
        told = {
            "id": self.id_of(index),
            "deduplicate_id": f"{self.id_of(index)}:{max(metrics.values())}",
            "created": created,
            "type": kind,
            "recipient": identifiers["email"] or "",
            "customer_id": identifiers["id"] or "",
            "customer_identifiers": identifiers,
            "subject": SUBJECTS[(dice >> 41) % len(SUBJECTS)] if kind == "email" else "",
            "metrics": metrics,
            "failure_message": "550 5.1.1 mailbox unavailable" if is_failed else None,
            "campaign_id": None if is_newsletter else campaign,
            "newsletter_id": campaign + 100 if is_newsletter else None,
            "broadcast_id": None,
            "transactional_message_id": None,
            "trigger_event_id": None,
            "message_template_id": 40 + campaign,
            "msg_template_id": 40 + campaign,
            "forgotten": False,
        }
        return told | ({"content_id": campaign + 900} if is_newsletter else {"action_id": campaign * 8})

    def create(self, stamp: int, patch: dict[str, Any], index: int | None = None) -> int:
        """A delivery made at `stamp`; sent at once unless the patch names its metrics."""
        index = self.timeline.add(stamp, index)
        self.patches[index] = patch
        return index

    def fill(self, index: int, metrics: dict[str, int]) -> None:
        """Metrics that come in later."""
        patch = self.patches.setdefault(index, {})
        patch["metrics"] = {**patch.get("metrics", {}), **metrics}

    def _metrics(self, index: int, created: int, dice: int) -> dict[str, int]:
        if index >= self.timeline.base:
            return {"created": created, "sent": created, "delivered": created}
        end, fate = self.timeline.end, (dice >> 8) % 100
        if fate < 3:
            return {"created": created, "attempted": created + 2, "failed": created + 3}
        if fate < 5:
            return {"created": created, "dropped": created + 1}
        if fate < 8:
            return {"created": created, "sent": created + 5, "bounced": min(end, created + 9)}
        metrics = {"created": created, "sent": created + 5, "delivered": min(end, created + 9)}
        if (dice >> 16) % 100 < 45:
            metrics |= self._engagement(min(end, created + 600 + (dice >> 24) % 86_400), dice)
        return metrics

    def _engagement(self, opened: int, dice: int) -> dict[str, int]:
        """Opens and clicks; the machine-filtered metrics are missing, times, counts, or all there is."""
        end, variant = self.timeline.end, (dice >> 20) % 4
        metrics = {"opened": opened}
        if variant == 3:
            return metrics | {"prefetch_opened": opened}
        if variant == 1:
            metrics["human_opened"] = min(end, opened + 20)
        elif variant == 2:
            metrics["human_opened"] = 1 + dice % 3
        if (dice >> 30) % 100 < 30:
            metrics["clicked"] = min(end, opened + 30)
            if variant == 1:
                metrics["human_clicked"] = min(end, opened + 30)
        if (dice >> 44) % 50 == 0:
            metrics["unsubscribed"] = min(end, opened + 60)
        return metrics
