"""Reading meetings: a walk along the pages of a closed window of creation times, newest first.

Fathom has no "changed since" and its cursors count pages, so a walk is closed at `until` (a meeting made
meanwhile can't shift its pages), repeats are left out all the same, and an incremental read goes back
some days: transcripts and summaries arrive late. One request at a time is enough: its limits (30 a minute
with transcripts) let one go every two seconds, longer than any answer takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gtmc_pipelines.connectors.fathom.api import FathomSession
from gtmc_pipelines.connectors.fathom.checkpoint import (
    KEPT_CURSORS,
    KEPT_IDS,
    Checkpoint,
    checked_cursor,
    decode,
)
from gtmc_pipelines.connectors.fathom.records import Envelope, envelope_of, records_of
from gtmc_pipelines.connectors.positions import encode, watermark_of
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import Page, ReadFrom, SourceRecord

DEFAULT_LOOKBACK_DAYS = 14
BY_LIST, BY_RECORDINGS = "list", "recordings"


def read_meetings(session: FathomSession, start: ReadFrom) -> Iterator[Page]:
    """Pages of meetings, from the checkpoint if there is one."""
    walk = Walk(session, start, _lower(session.settings.options, session.settings.overlap, start))
    while not walk.is_done:
        yield walk.page()


def _lower(options: Mapping[str, Any], overlap: timedelta, start: ReadFrom) -> datetime | None:
    """Start of the window: the watermark less look-back and overlap. Raises Broken for a damaged watermark."""
    watermark = watermark_of(start)
    if watermark is None:
        return None
    days = options.get("lookback_days")
    return watermark - timedelta(days=DEFAULT_LOOKBACK_DAYS if days is None else int(days)) - overlap


@dataclass(slots=True)
class Walk:
    """One walk; `page()` gives the next page until `is_done`."""

    session: FathomSession
    start: ReadFrom
    lower: datetime | None
    is_done: bool = False
    at: Checkpoint = field(init=False)
    seen: set[str] = field(init=False)
    trail: list[str] = field(init=False)
    _waited_at: set[str] = field(default_factory=set)
    _pages_of_repeats: int = 0
    _is_resumed: bool = False

    def __post_init__(self) -> None:
        self.at = Checkpoint("", None if self.lower is None else _spelled(self.lower))
        if self.start.checkpoint:
            self.at = decode(self.start.checkpoint)
            self._is_resumed = True
        self.seen, self.trail = set(self.at.ids), list(self.at.cursors)

    def page(self) -> Page:
        """The next page; its checkpoint is where the walk goes on."""
        envelope = envelope_of(self._body())
        is_by_list = self._include_mode() == BY_LIST
        records, rejects = records_of(envelope.items, None if is_by_list else self._complete)
        fresh = [record for record in records if record.external_id not in self.seen]
        fresh = list({record.external_id: record for record in fresh}.values())
        self.seen.update(record.external_id for record in fresh)
        cursor = self._next(envelope)
        self._check_progress(envelope, fresh)
        skipped = len(records) - len(fresh)
        self.is_done = cursor is None
        if cursor is None:
            return Page(fresh, None, watermark=self.start.until.isoformat(), rejects=rejects, skipped=skipped)
        ids = (*self.at.ids, *(record.external_id for record in fresh))[-KEPT_IDS:]
        self.at = Checkpoint(cursor, self.at.after, ids, tuple(self.trail[-KEPT_CURSORS:]))
        return Page(fresh, encode(self.at), rejects=rejects, skipped=skipped)

    def _body(self) -> bytes:
        try:
            body = self.session.meetings(self._parameters())
        except Broken as fault:
            if not (self._is_resumed and fault.code in {"bad_request", "include_refused"}):
                raise
            # The stored cursor isn't known any more; what comes again stops at its hash.
            self.at, self.seen, self.trail = Checkpoint("", self.at.after), set(), []
            body = self.session.meetings(self._parameters())
        self._is_resumed = False
        return body

    def _parameters(self) -> dict[str, str]:
        parameters = {"created_before": _spelled(self.start.until)}
        if self.at.after is not None:
            parameters["created_after"] = self.at.after
        if self._include_mode() == BY_LIST:
            parameters |= {"include_transcript": "true", "include_summary": "true"}
        if self.at.cursor:
            parameters["cursor"] = self.at.cursor
        return parameters

    def _include_mode(self) -> str:
        return str(self.session.settings.options.get("include_mode") or BY_LIST)

    def _complete(self, recording_id: str, members: dict[str, msgspec.Raw]) -> None:
        """What a list with include flags would have held, in the same members."""
        if recording_id in self.seen:
            return
        members["transcript"] = self.session.transcript(recording_id)
        members["default_summary"] = self.session.summary(recording_id)

    def _next(self, envelope: Envelope) -> str | None:
        """The next page's cursor, None at the end. Raises Broken for a loop or a foreign link."""
        if not envelope.next_cursor:
            return None
        cursor = checked_cursor(envelope.next_cursor)
        is_waiting = not envelope.items and cursor not in self._waited_at  # nothing yet: asking again is fine, once
        if is_waiting:
            self._waited_at.add(cursor)
        elif cursor == self.at.cursor or cursor in self.trail:
            raise _loop()
        self.trail.append(cursor)
        return cursor

    def _check_progress(self, envelope: Envelope, fresh: list[SourceRecord]) -> None:
        """Two pages in a row of nothing but repeats are a loop under ever new cursors."""
        is_repeat = bool(envelope.items) and not fresh and bool(envelope.next_cursor)
        self._pages_of_repeats = self._pages_of_repeats + 1 if is_repeat else 0
        if self._pages_of_repeats > 1:
            raise _loop()


def _spelled(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _loop() -> Broken:
    return Broken(
        "cursor_loop",
        "Fathom's pages lead back to one already read, so the read was stopped.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )
