"""Reading email events: mails by windows of creation time, each split into what happened to it.

Metrics keep filling in after a mail was sent while only its creation time can be asked for, so a
look-back is read again every time. A mail gives one record for each of `sent`, `opened` and `clicked`,
with the id `<delivery>:<metric>`; its other metrics stay with the `sent` one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from gtmc_pipelines.connectors.customerio import checkpoint as checkpoints
from gtmc_pipelines.connectors.customerio.ahead import Listed, pool, walk
from gtmc_pipelines.connectors.customerio.api import MOST_MESSAGES, CustomerioSession
from gtmc_pipelines.connectors.customerio.payloads import (
    NEVER_KEPT,
    Members,
    Recent,
    id_of,
    is_moment,
    member,
    members_of,
    missing_id,
    moment,
    payload_of,
    raw_of,
    whole,
)
from gtmc_pipelines.connectors.json_pages import decode_page
from gtmc_pipelines.connectors.positions import encode
from gtmc_pipelines.model.records import Page, ReadFrom, RejectedRecord, SourceRecord

WINDOW_SECONDS = 30 * 86_400
DEFAULT_HISTORY_DAYS, DEFAULT_LOOKBACK_DAYS = 180, 30
LEAVE_OUT, COUNT = "leave_out", "count"
"""What becomes of opens and clicks that only a machine made (mail privacy proxies, link scanners)."""

_ENGAGEMENT = ("opened", "clicked")


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw] | None
    next: str | None = None


_MESSAGES = msgspec.json.Decoder(_Messages)


def windows(low: int, high: int) -> Iterator[tuple[int, int]]:
    """[low, high] in pieces of at most 30 days, oldest first; both ends of each are included."""
    while low <= high:
        end = min(high, low + WINDOW_SECONDS - 1)
        yield low, end
        low = end + 1


def read_email_events(session: CustomerioSession, start: ReadFrom) -> Iterator[Page]:
    """Events of all mails created in the window that is read."""
    checkpoint = checkpoints.decode(start.checkpoint)
    high = int(start.until.timestamp())
    low, cursor = (checkpoint.low, checkpoint.start) if checkpoint else (_low(session, start), "")
    machine_opens = str(session.settings.options.get("machine_opens") or LEAVE_OUT)
    recent = Recent()
    with pool() as threads:
        for begin, end in windows(min(low, high), high):

            def fetch(at: str, begin: int = begin, end: int = end) -> Listed[list[msgspec.Raw]]:
                limit = min(MOST_MESSAGES, session.option("page_records", MOST_MESSAGES))
                body = session.email_messages(begin, end, at, limit)
                found = decode_page(body, _MESSAGES, "Customer.io")
                return Listed(found.messages or [], found.next or "")

            for listed in walk(threads, fetch, cursor):
                split = _Split(machine_opens, recent).of(listed.content)
                following = checkpoints.Checkpoint(listed.next, begin) if listed.next else None
                if following is None and end < high:
                    following = checkpoints.Checkpoint("", end + 1)
                text = encode(following) if following else None
                mark = None if following else checkpoints.watermark_of(start)
                yield Page(split.records, text, mark, split.rejects, split.skipped)
            cursor = ""


def _low(session: CustomerioSession, start: ReadFrom) -> int:
    lookback = timedelta(days=session.option("lookback_days", DEFAULT_LOOKBACK_DAYS))
    history = timedelta(days=session.option("history_days", DEFAULT_HISTORY_DAYS))
    low = checkpoints.since(start, max(lookback, session.settings.overlap))
    return int((start.until - history).timestamp()) + 1 if low is None else low


@dataclass(slots=True)
class _Split:
    """What a page of messages becomes. A mail without any event is counted as skipped."""

    machine_opens: str
    recent: Recent
    records: list[SourceRecord] = field(default_factory=list)
    rejects: list[RejectedRecord] = field(default_factory=list)
    skipped: int = 0

    def of(self, raws: list[msgspec.Raw]) -> _Split:
        """All of a page."""
        for raw in raws:
            members = members_of(raw)
            if isinstance(members, RejectedRecord):
                self.rejects.append(members)
                continue
            self._one(members)
        return self

    def _one(self, members: Members) -> None:
        delivery = id_of(members)
        if not delivery:
            self.rejects.append(missing_id())
            return
        if not self.recent.is_new(delivery):
            return
        metrics = member(members, "metrics", dict[str, Any])
        if metrics is None:
            self.rejects.append(RejectedRecord(f"{delivery}:sent", "malformed_record", "The delivery has no metrics."))
            return
        metrics = {name: whole(value) for name, value in metrics.items()}
        is_mail = (member(members, "type", str) or "email") == "email"
        events = events_of(metrics, self.machine_opens) if is_mail else {}
        self.skipped += not events
        lean = {name: raw for name, raw in members.items() if name not in NEVER_KEPT and name != "metrics"}
        self.records += [_record(delivery, lean, name, at, metrics) for name, at in events.items()]


def events_of(metrics: Mapping[str, Any], machine_opens: str = LEAVE_OUT) -> dict[str, int]:
    """The scorer's events of a mail with their times: `sent`, `opened`, `clicked`.

    `human_…` metrics are taken as times where they are times, and as a yes where they are counts. An open
    or click with a `prefetch_…` metric and no `human_…` one was a machine's.
    """
    events = {"sent": metrics["sent"]} if is_moment(metrics.get("sent")) else {}
    for name in _ENGAGEMENT:
        at, human = metrics.get(name), metrics.get(f"human_{name}")
        is_machine = bool(metrics.get(f"prefetch_{name}")) and not human
        if is_machine and machine_opens != COUNT:
            continue
        if is_moment(human):
            at = human
        if is_moment(at):
            events[name] = at
    return events


def _record(delivery: str, lean: Members, name: str, at: int, metrics: Mapping[str, Any]) -> SourceRecord:
    """One event. Only the `sent` one carries other metrics, so that only it changes when they fill in."""
    added: dict[str, object] = {"metric": name, "occurred_at": at}
    changed_at = at
    if name == "sent":
        outcomes = {metric: value for metric, value in metrics.items() if not metric.endswith(_ENGAGEMENT)}
        added["metrics"] = outcomes
        changed_at = max([at, *(value for value in outcomes.values() if is_moment(value))])
    payload = payload_of(lean | {key: raw_of(value) for key, value in added.items()})
    return SourceRecord(f"{delivery}:{name}", payload, moment(changed_at))
