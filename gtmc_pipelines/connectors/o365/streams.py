"""Reading a mailbox: its folders side by side, page by page, each page with a checkpoint that is exact."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec

from gtmc_pipelines.connectors.o365 import checkpoint as checkpoints
from gtmc_pipelines.connectors.o365.api import Mailbox, O365Session
from gtmc_pipelines.connectors.o365.checkpoint import MOST_KNOWN, FolderState, MailboxState, Phase
from gtmc_pipelines.connectors.o365.errors import GraphRefusal, no_folder
from gtmc_pipelines.connectors.o365.folders import ROUND_CAP, FolderReader
from gtmc_pipelines.connectors.o365.lanes import MOST_AT_ONCE
from gtmc_pipelines.connectors.o365.messages import Answer, Email, Item, Removal, hashed, items_of
from gtmc_pipelines.connectors.o365.policy import Policy
from gtmc_pipelines.connectors.positions import encode
from gtmc_pipelines.model.errors import Retry, Unserved
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import NOTHING, Coverage, Page, ReadFrom, RejectedRecord, SourceRecord

DEFAULT_FOLDERS = ("inbox", "sentitems")
DEFAULT_LOOKBACK_DAYS = 30
DEFAULT_PAGE_SIZE = 200
MOST_EMITTED = 1_000_000
"""Messages a session remembers as handed over (about 100 MB at most); beyond it copies are upserted once more."""

_Fetched = tuple[FolderState, Answer]


def read_mailbox(session: O365Session, start: ReadFrom) -> Iterator[Page]:
    """Pages of one mailbox. Raises by whose turn it is: Unserved where there is none, or none in the app's reach."""
    if session.policy.keeps_nothing:  # nothing could be kept, so nothing is asked for
        yield _nothing(start)
        return
    has_answered = False
    try:
        for page in _pages(session, start):
            has_answered = True
            yield page
    except GraphRefusal as refusal:
        fault = refusal.at_mailbox(session.settings.tenant_id, is_first=not has_answered)
        if isinstance(fault, Unserved):
            session.count("mailboxes_out_of_reach" if fault.when_all else "mailboxes_skipped")
        raise fault from None


def _pages(session: O365Session, start: ReadFrom) -> Iterator[Page]:
    mailbox = session.mailbox(start.slice)
    walk = _Walk(session, mailbox, session.policy_for(mailbox), _state_of(session, start))
    yield from walk.pages()


@dataclass(slots=True)
class _Walk:
    """A walk through a mailbox: one call at a time per folder, the folders in turn."""

    session: O365Session
    mailbox: Mailbox
    policy: Policy
    state: MailboxState
    readers: dict[str, FolderReader] = field(default_factory=dict)

    def pages(self) -> Iterator[Page]:
        """All pages in a fixed order; the last one carries the watermark."""
        if self.state.is_done:
            yield Page((), None, watermark=encode(self.state), covers=_coverage(self.state))
            return
        self.readers = {name: self._reader(name) for name in self.state.folders}
        with ThreadPoolExecutor(min(MOST_AT_ONCE, len(self.readers)), thread_name_prefix="o365") as pool:
            waiting = {
                name: pool.submit(self.readers[name].fetch, state)
                for name, state in self.state.folders.items()
                if state.phase is not Phase.DONE
            }
            try:
                yield from self._in_turn(pool, waiting)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _in_turn(self, pool: ThreadPoolExecutor, waiting: dict[str, Future[_Fetched]]) -> Iterator[Page]:
        while waiting:
            for name in list(waiting):
                try:
                    state, answer = waiting.pop(name).result()
                except Retry:
                    yield from self._fetched(waiting)
                    raise
                if state.phase is not Phase.DONE:  # under way while this page is taken apart and written
                    waiting[name] = pool.submit(self.readers[name].fetch, state)
                yield self._page(name, state, answer)

    def _fetched(self, waiting: dict[str, Future[_Fetched]]) -> Iterator[Page]:
        """Pages the other folders have got while one failed for now: their progress is kept."""
        for name, future in waiting.items():
            with suppress(Retry, GraphRefusal):  # the first trouble is the one that is told
                yield self._page(name, *future.result())

    def _page(self, name: str, state: FolderState, answer: Answer) -> Page:
        records: list[SourceRecord] = []
        rejects: list[RejectedRecord] = []
        known = dict(self.state.known)
        items = list(items_of(answer, self.policy, self.mailbox.addresses, self.state.floor))
        for item in items:
            if isinstance(item, RejectedRecord):
                rejects.append(item)
            elif (record := self._record(item, known)) is not None:
                records.append(record)
        others = {each: kept for each, kept in self.state.folders.items() if each != name}
        is_catching_up = self.state.folders[name].phase is Phase.CATCH_UP
        if is_catching_up and any(isinstance(item, Removal) for item in items):
            state = msgspec.structs.replace(state, is_unsure=True)
        folders = {**others, name: state}  # to the end: whoever resumes goes on with the next folder in turn
        while len(known) > MOST_KNOWN:
            known.pop(next(iter(known)))
        self.state = msgspec.structs.replace(self.state, folders=folders, known=known)
        skipped = len(answer.value) - len(records) - len(rejects)
        if self.state.is_bare:
            raise no_folder()
        position = encode(self.state)
        if self.state.is_done:
            return Page(records, None, position, rejects, skipped, covers=_coverage(self.state))
        return Page(records, position, rejects=rejects, skipped=skipped)

    def _record(self, item: Item, known: dict[str, str]) -> SourceRecord | None:
        """The record to land, or None for what is only counted."""
        if isinstance(item, Removal):
            return self._deletion(item, known)
        if not isinstance(item, Email):
            return None
        external_id = item.record.external_id
        if item.is_sole:
            known.pop(hashed(item.message_id, 8), None)  # to the end: the newest are kept
            known[hashed(item.message_id, 8)] = external_id
        mark = external_id.encode()
        if mark in self.session.emitted:
            return None
        if len(self.session.emitted) < MOST_EMITTED:
            self.session.emitted.add(mark)
        return item.record

    def _deletion(self, removal: Removal, known: dict[str, str]) -> SourceRecord | None:
        """A deletion when the message was the tenant's only copy and is gone for good; a move is none."""
        external_id = known.get(hashed(removal.message_id, 8))
        if external_id is None or not removal.is_deletion:
            return None
        if self.session.has_message(self.mailbox.id, removal.message_id):
            return None
        del known[hashed(removal.message_id, 8)]
        self.session.emitted.discard(external_id.encode())
        return SourceRecord(external_id, b"{}", None, is_deleted=True)

    def _reader(self, name: str) -> FolderReader:
        options = self.session.settings.options
        return FolderReader(
            self.session,
            self.mailbox.id,
            name,
            self.state.at,
            self.state.floor,
            int(options.get("mail_page_size") or DEFAULT_PAGE_SIZE),
            int(options.get("round_cap") or ROUND_CAP),
        )


def _state_of(session: O365Session, start: ReadFrom) -> MailboxState:
    """Where to begin: at the checkpoint, after the watermark, or anew when the lists have changed since."""
    policy = session.policy.fingerprint
    if start.checkpoint:
        state = checkpoints.decode(start.checkpoint)
        if state.policy == policy:
            return state
    folders = folders_of(session)
    if start.mode is SyncMode.INCREMENTAL and start.watermark:
        before = checkpoints.decode(start.watermark)
        if before.policy == policy:
            since = before.at - session.settings.overlap
            rounds = {name: _next_round(before, name, since) for name in folders}
            return MailboxState(policy, before.floor, start.until, rounds, before.known)
    days = int(session.settings.options.get("lookback_days") or DEFAULT_LOOKBACK_DAYS)
    floor = (start.until.astimezone(UTC) - timedelta(days=days)).replace(microsecond=0)
    return MailboxState(policy, floor, start.until, {name: FolderState(floor) for name in folders})


def _next_round(before: MailboxState, name: str, since: datetime) -> FolderState:
    folder = before.folders.get(name)
    if folder is None or not folder.token:
        return FolderState(before.floor)
    return FolderState(since, Phase.ROUND, folder.token)


def folders_of(session: O365Session) -> tuple[str, ...]:
    """Names of the folders that are read."""
    given = str(session.settings.options.get("folders") or "")
    return tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip())) or DEFAULT_FOLDERS


def _nothing(start: ReadFrom) -> Page:
    """The only page of a mailbox that isn't read now; what an earlier read has left stays."""
    if start.watermark:
        return Page((), None, watermark=start.watermark, covers=NOTHING)
    return Page((), None, watermark=encode(MailboxState("", start.until, start.until)), covers=NOTHING)


def _coverage(state: MailboxState) -> Coverage:
    """A full read tells what is gone as far back as it went, unless a page may have been passed by."""
    is_unsure = any(folder.is_unsure for folder in state.folders.values())
    return NOTHING if is_unsure or not state.folders else Coverage(state.floor)
