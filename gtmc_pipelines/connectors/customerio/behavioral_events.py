"""Reading behavioral events: activities from the newest back to where the last read ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from gtmc_pipelines.connectors.customerio import checkpoint as checkpoints
from gtmc_pipelines.connectors.customerio.ahead import Listed, pool, walk
from gtmc_pipelines.connectors.customerio.api import MOST_ACTIVITIES, CustomerioSession
from gtmc_pipelines.connectors.customerio.payloads import (
    Members,
    Recent,
    id_of,
    member,
    members_of,
    missing_id,
    moment,
    payload_of,
    raw_of,
    seconds_of,
)
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.positions import encode
from gtmc_pipelines.model.records import Page, ReadFrom, RejectedRecord, SourceRecord

DEFAULT_OVERLAP_MINUTES = 60
BEHAVIORS = frozenset({"event", "page", "screen"})
OUTCOMES = frozenset({"opened", "clicked", "viewed"})
CHANNELS = frozenset({"push", "twilio", "slack", "in_app", "content"})


class _Activities(msgspec.Struct):
    activities: list[msgspec.Raw] | None
    next: str | None = None


class _Named(msgspec.Struct):
    name: str | None = None
    event_name: str | None = None


_ACTIVITIES = msgspec.json.Decoder(_Activities)


def is_behavior(kind: str) -> bool:
    """Whether an activity is something a person did and no other stream tells.

    Mails are left to email_events; sends and failures of other channels, changes of attributes, devices
    and relationships are no behavior.
    """
    outcome, _, channel = kind.partition("_")
    return kind in BEHAVIORS or (outcome in OUTCOMES and channel in CHANNELS)


def read_behavioral_events(session: CustomerioSession, start: ReadFrom) -> Iterator[Page]:
    """Activities up to `until`; a full read takes all the vendor still has (30 days are promised)."""
    checkpoint = checkpoints.decode(start.checkpoint)
    low = checkpoint.low if checkpoint else _low(session, start)
    high = int(start.until.timestamp())
    recent = Recent()

    def fetch(at: str) -> Listed[list[msgspec.Raw]]:
        limit = min(MOST_ACTIVITIES, session.option("page_records", MOST_ACTIVITIES))
        found = decode_page(session.activities(at, limit), _ACTIVITIES, "Customer.io")
        return Listed(found.activities or [], found.next or "")

    with pool() as threads:
        for listed in walk(threads, fetch, checkpoint.start if checkpoint else ""):
            taken = _Taken(low, high, recent).of(listed.content)
            if not listed.next or taken.is_past:
                yield Page(taken.records, None, checkpoints.watermark_of(start), taken.rejects, taken.skipped)
                return
            text = encode(checkpoints.Checkpoint(listed.next, low))
            yield Page(taken.records, text, None, taken.rejects, taken.skipped)


def _low(session: CustomerioSession, start: ReadFrom) -> int:
    minutes = session.option("activity_overlap_minutes", DEFAULT_OVERLAP_MINUTES)
    return checkpoints.since(start, max(timedelta(minutes=minutes), session.settings.overlap)) or 0


@dataclass(slots=True)
class _Taken:
    """What a page of activities becomes. `is_past` when its last one lies before the window."""

    low: int
    high: int
    recent: Recent
    records: list[SourceRecord] = field(default_factory=list)
    rejects: list[RejectedRecord] = field(default_factory=list)
    skipped: int = 0
    is_past: bool = False

    def of(self, raws: list[msgspec.Raw]) -> _Taken:
        """All of a page."""
        for raw in raws:
            members = members_of(raw)
            if isinstance(members, RejectedRecord):
                self.rejects.append(members)
            else:
                self._one(members)
        return self

    def _one(self, members: Members) -> None:
        activity = id_of(members)
        if not activity:
            self.rejects.append(missing_id())
            return
        at = seconds_of(members, "timestamp")
        if at is not None:
            self.is_past = at < self.low
            if not self.low <= at <= self.high or not self.recent.is_new(activity):
                return
        if not is_behavior(member(members, "type", str) or ""):
            self.skipped += 1
            return
        if at is None:
            self.rejects.append(RejectedRecord(activity, "malformed_record", "The activity has no time."))
            return
        name = _name_of(members)
        if name:
            members["event_name"] = raw_of(name)
        self.records.append(SourceRecord(activity, payload_of(members), moment(at)))


def _name_of(members: Members) -> str | None:
    """What the event is called: where that stands is not documented, so beside `data` and inside are looked at."""
    data = member(members, "data", _Named) or _Named()
    return member(members, "name", str) or data.name or data.event_name
