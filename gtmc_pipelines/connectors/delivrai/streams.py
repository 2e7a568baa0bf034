"""The streams of Delivr.ai: which pages each contract serves them by, from where to where, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gtmc_pipelines.connectors.delivrai import records
from gtmc_pipelines.connectors.delivrai.api import DelivraiSession
from gtmc_pipelines.connectors.delivrai.dialect import Dialect
from gtmc_pipelines.connectors.delivrai.envelope import envelope_of
from gtmc_pipelines.connectors.delivrai.walk import Fetched, Place, Step, walk
from gtmc_pipelines.connectors.positions import damaged_checkpoint, damaged_watermark, decoded, encode, watermark_of
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.records import (
    EVERYTHING,
    NOTHING,
    Census,
    Coverage,
    Found,
    Page,
    ReadFrom,
    SourceRecord,
    Unseen,
)

SIGNALS, ENRICHMENT = "intent_signals", "company_enrichment"

_AUDIENCE_PAGE, _TOPIC_PAGE = 5_000, 500
_MILLISECOND = timedelta(milliseconds=1)


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything a walk needs to go on: its windows begin at `lower` and end at the read's `until`."""

    lower: datetime | None = None
    chain: int = 0
    cursor: str = ""


_CHECKPOINT = msgspec.json.Decoder(Checkpoint)


def read_stream(session: DelivraiSession, stream: str, start: ReadFrom) -> Iterator[Page]:
    """Pages of a stream. Raises a SyncFault by whose turn it is."""
    checkpoint = decoded(start.checkpoint, _CHECKPOINT) if start.checkpoint else None
    if stream == ENRICHMENT:
        return _enrichment(session, start, checkpoint)
    return _signals(session, start, checkpoint)


def _signals(session: DelivraiSession, start: ReadFrom, checkpoint: Checkpoint | None) -> Iterator[Page]:
    lower = checkpoint.lower if checkpoint else None
    lower = lower or _lower(session, start)
    reader = _SignalReader(session, lower, start.until)
    for step in walk(reader.fetcher(), reader.chains, session.dialect.parallel, _place(checkpoint)):
        kept = [record for record, at in step.page.records if at is None or at < start.until]
        skipped = len(step.page.records) - len(kept) + step.repeated
        yield from _page(step, kept, skipped, lower, start.until)


def _enrichment(session: DelivraiSession, start: ReadFrom, checkpoint: Checkpoint | None) -> Iterator[Page]:
    for step in walk(_companies(session), 1, 1, _place(checkpoint)):
        kept = [record for record, _ in step.page.records]
        covers = NOTHING if session.dialect.is_public else EVERYTHING  # a topic or an audience is a selection
        yield from _page(step, kept, step.repeated, None, start.until, covers)


def still_there(session: DelivraiSession, unseen: Sequence[Unseen]) -> Iterator[Found]:
    """Companies of these that another walk along the list shows: its pages may have shifted under the first."""
    wanted = {one.external_id for one in unseen}
    for ids in _company_ids(session):
        yield Found(present=sorted(wanted.intersection(ids)))


def census(session: DelivraiSession, stream: str, until: datetime) -> Iterator[Census]:
    """Ids of all companies of the platform's contract; of signals the first page of the last day."""
    if stream == ENRICHMENT:
        if not session.dialect.is_public:
            for ids in _company_ids(session):
                yield Census("domains of all companies", ids=ids)
        return
    reader = _SignalReader(session, until - timedelta(days=1), until)
    first = reader.fetcher()(0, "")
    old = [record.external_id for record, at in first.sorted.records if at is not None and at < until]
    yield Census("the first page of the last day's signals", ids=old, is_log=True)


def _company_ids(session: DelivraiSession) -> Iterator[list[str]]:
    for step in walk(_companies(session), 1, 1, Place()):
        yield [record.external_id for record, _ in step.page.records]


def _page(
    step: Step,
    kept: list[SourceRecord],
    skipped: int,
    lower: datetime | None,
    until: datetime,
    covers: Coverage = EVERYTHING,
) -> Iterator[Page]:
    """The step as a page; none for an empty one, unless it is the last."""
    rejects = step.page.rejects
    if step.next is None:
        yield Page(kept, None, until.astimezone(UTC).isoformat(), rejects, skipped, covers=covers)
    elif kept or rejects or skipped:
        checkpoint = Checkpoint(lower, step.next.chain, step.next.cursor)
        yield Page(kept, encode(checkpoint), None, rejects, skipped)


def _place(checkpoint: Checkpoint | None) -> Place:
    return Place(checkpoint.chain, checkpoint.cursor) if checkpoint else Place()


def _lower(session: DelivraiSession, start: ReadFrom) -> datetime:
    """Start of a read: 90 days back at first, else the watermark less what may have arrived late."""
    first = start.until - timedelta(days=session.dialect.first_days)
    watermark = watermark_of(start)
    if watermark is None:
        return first.astimezone(UTC)
    try:
        look_back = max(session.settings.overlap, timedelta(hours=session.dialect.lookback_hours))
        return (watermark - look_back).astimezone(UTC)
    except (ValueError, OverflowError):
        raise damaged_watermark() from None


@dataclass(frozen=True)
class _SignalReader:
    """Signals of [lower, until): one chain by cursor, or a chain a window where windows can be asked for."""

    session: DelivraiSession
    lower: datetime
    until: datetime

    @property
    def chains(self) -> int:
        """How many windows there are."""
        if not self.session.dialect.has_windows:
            return 1
        return max(1, -((self.lower - self.until) // self.session.dialect.window))

    def fetcher(self) -> Callable[[int, str], Fetched]:
        """What gets one page of a chain."""
        return self._events() if self.session.dialect.is_public else self._by_cursor

    def _window(self, chain: int) -> tuple[datetime, datetime]:
        begin = self.lower + chain * self.session.dialect.window
        return begin, min(self.until, begin + self.session.dialect.window)

    def _by_cursor(self, chain: int, cursor: str) -> Fetched:
        dialect = self.session.dialect
        parameters = {dialect.since_parameter: _iso(self.lower), "limit": str(dialect.limit)}
        if dialect.until_parameter:
            begin, end = self._window(chain)
            parameters |= {dialect.since_parameter: _iso(begin), dialect.until_parameter: _iso(end)}
        if cursor:
            parameters[dialect.cursor_parameter] = cursor
        envelope = envelope_of(self.session.get(dialect.signals_path, parameters), dialect)
        return Fetched(records.sort_out(envelope.records, records.signal), envelope.cursor)

    def _events(self) -> Callable[[int, str], Fetched]:
        dialect = self.session.dialect
        pixel = dialect.pixel_id
        scope = {"pixel_id": pixel} if pixel else {"project_id": self.session.project_id()}

        def fetch(chain: int, cursor: str) -> Fetched:
            begin, end = self._window(chain)
            offset = _offset(cursor)
            window = {"start_ms": _ms(begin), "end_ms": _ms(end - _MILLISECOND)}  # both inclusive
            parameters = scope | window | {"limit": str(dialect.limit), "offset": str(offset)}
            parameters["include_enrichment"] = "true"
            envelope = envelope_of(self.session.get(dialect.signals_path, parameters), dialect)
            is_full = len(envelope.records) >= dialect.limit
            following = str(offset + len(envelope.records)) if is_full else ""
            return Fetched(records.sort_out(envelope.records, records.event), following)

        return fetch


def check_choices(session: DelivraiSession) -> None:
    """Raise Broken when the public API can't be read for want of a project, or of a topic or audience."""
    if not session.dialect.is_public:
        return
    if not session.dialect.pixel_id:
        session.project_id()
    _check_enrichment(session.dialect)


def _check_enrichment(dialect: Dialect) -> None:
    if not (dialect.topic_id or dialect.audience_id):
        raise Broken(
            "topic_not_chosen",
            "Delivr.ai's public API enriches companies by a topic or an audience, and neither is chosen.",
            next_step="Add the connector again with --option topic_id=… or audience_id=….",
        )


def _companies(session: DelivraiSession) -> Callable[[int, str], Fetched]:
    """What gets one page of companies: of the platform's contract, of an audience, or of a topic."""
    dialect = session.dialect
    if not dialect.is_public:
        return lambda _, cursor: _company_page(session, cursor, {"limit": str(dialect.limit)})
    if dialect.audience_id:
        scope = {"project_id": session.project_id(), "page_size": str(min(_AUDIENCE_PAGE, dialect.limit))}
        path = f"/api/v1/audiences/{dialect.audience_id}/records"
        return lambda _, cursor: _company_page(session, cursor, scope, path)
    _check_enrichment(dialect)
    wish: dict[str, Any] = {"topic_id": dialect.topic_id, "page_size": min(_TOPIC_PAGE, dialect.limit)}
    return lambda _, cursor: _topic_page(session, cursor, wish)


def _company_page(
    session: DelivraiSession, cursor: str, parameters: Mapping[str, str], path: str | None = None
) -> Fetched:
    dialect = session.dialect
    asked = dict(parameters) | ({dialect.cursor_parameter: cursor} if cursor else {})
    envelope = envelope_of(session.get(path or dialect.enrichment_path, asked), dialect)
    shape = records.public_company if dialect.is_public else records.company
    return Fetched(records.sort_out(envelope.records, shape), envelope.cursor)


def _topic_page(session: DelivraiSession, cursor: str, wish: Mapping[str, Any]) -> Fetched:
    asked = dict(wish) | ({"cursor": cursor} if cursor else {})
    envelope = envelope_of(session.post(session.dialect.enrichment_path, asked), session.dialect)
    return Fetched(records.sort_out(envelope.records, records.public_company), envelope.cursor)


def _offset(cursor: str) -> int:
    try:
        return int(cursor or "0")
    except ValueError:
        raise damaged_checkpoint() from None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ms(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))
