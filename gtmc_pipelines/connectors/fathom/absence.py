"""Meetings a full walk didn't see, looked for once more; and the ids of late meetings.

Fathom's cursors count pages: a meeting that is deleted while a walk is under way moves others to pages that
were read already. So what is missing is asked for by its recording; when much is missing, another walk without
transcripts is cheaper, and only what is in neither is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from gtmc_pipelines.connectors.fathom.api import FathomSession
from gtmc_pipelines.connectors.fathom.checkpoint import checked_cursor
from gtmc_pipelines.connectors.fathom.records import envelope_of, records_of
from gtmc_pipelines.model.records import Census, Found, Unseen

MOST_RECORDINGS = 30
"""Missing meetings that are asked for one by one at once; with more of them the list is walked again first."""

COMPARED_DAYS = 30
"""How far back the daily comparison looks: at most a few pages of a list without transcripts."""


def still_there(session: FathomSession, unseen: Sequence[Unseen]) -> Iterator[Found]:
    """Which of these meetings Fathom has after all."""
    missing = [one.external_id for one in unseen]
    if len(missing) > MOST_RECORDINGS:
        wanted = set(missing)
        for ids in _listed(session, {}):
            present = wanted.intersection(ids)
            wanted -= present
            yield Found(present=sorted(present))
        missing = [one for one in missing if one in wanted]
    for recording_id in missing:
        if session.has_recording(recording_id):
            yield Found(present=[recording_id])


def census(session: FathomSession, until: datetime) -> Iterator[Census]:
    """Ids of the meetings of the last weeks."""
    since = (until - timedelta(days=COMPARED_DAYS)).astimezone(UTC).replace(microsecond=0)
    before = until.astimezone(UTC).replace(microsecond=0)
    window = {"created_after": f"{since:%Y-%m-%dT%H:%M:%SZ}", "created_before": f"{before:%Y-%m-%dT%H:%M:%SZ}"}
    inside = since + timedelta(seconds=1), before - timedelta(seconds=1)  # its bounds may be meant either way
    scope = f"ids of the last {COMPARED_DAYS} days"
    for ids in _listed(session, window):
        yield Census(scope, ids=ids, since=inside[0], until=inside[1], time_member="created_at")


def _listed(session: FathomSession, window: dict[str, str]) -> Iterator[list[str]]:
    """Ids of the meetings of a window, page by page, without transcripts."""
    cursor, seen = "", set[str]()
    while True:
        envelope = envelope_of(session.meetings({**window, **({"cursor": cursor} if cursor else {})}))
        records, _ = records_of(envelope.items)
        yield [record.external_id for record in records]
        if not envelope.next_cursor:
            return
        cursor = checked_cursor(envelope.next_cursor)
        if cursor in seen:
            return
        seen.add(cursor)
