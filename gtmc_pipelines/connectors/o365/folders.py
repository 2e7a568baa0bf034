"""Reading one folder of a mailbox: delta rounds, the vendor's cap on them, and what happens when state is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import msgspec

from gtmc_pipelines.connectors.o365.api import O365Session, loop
from gtmc_pipelines.connectors.o365.checkpoint import FolderState, Phase
from gtmc_pipelines.connectors.o365.errors import GraphRefusal
from gtmc_pipelines.connectors.o365.messages import Answer, answer_of
from gtmc_pipelines.connectors.o365.policy import SELECTED

ROUND_CAP = 5_000
"""A filtered delta round delivers at most so many messages in all, and doesn't say that it was cut."""

_NO_FOLDER = frozenset({"ErrorItemNotFound", "ErrorFolderNotFound"})
_EMPTY = Answer([])


@dataclass(slots=True)
class FolderReader:
    """Fetches the pages of one folder, one at a time, and keeps its loop guard. `until` bounds a fill from above."""

    session: O365Session
    mailbox: str
    folder: str
    until: datetime
    floor: datetime
    page_size: int
    round_cap: int = ROUND_CAP
    seen: set[str] = field(default_factory=set)
    stalled: set[str] = field(default_factory=set)

    def fetch(self, state: FolderState) -> tuple[FolderState, Answer]:
        """The page `state` leads to, and the state after it. Content in it is a privacy fault."""
        url = state.link or self._first_url(state)
        try:
            answer = answer_of(self.session.get(url, self.page_size))
        except GraphRefusal as refusal:
            return self._without_page(state, refusal)
        return self._after(state, answer, url), answer

    def _without_page(self, state: FolderState, refusal: GraphRefusal) -> tuple[FolderState, Answer]:
        if refusal.is_state_lost and not state.was_lost:
            self.session.count("resyncs")
            self.seen.clear()
            return FolderState(self.floor, was_lost=True), _EMPTY
        if state.phase is Phase.START and refusal.code in _NO_FOLDER:
            self.session.count("folders_absent")
            return msgspec.structs.replace(state, phase=Phase.DONE), _EMPTY
        raise refusal

    def _after(self, state: FolderState, answer: Answer, url: str) -> FolderState:
        items = state.items + len(answer.value)
        change: Callable[..., FolderState] = lambda **values: msgspec.structs.replace(state, **values)  # noqa: E731
        if answer.next_link:
            phase = state.phase if state.phase in (Phase.FILL, Phase.CATCH_UP) else Phase.ROUND
            return change(phase=phase, link=self._next(answer, url), items=items)
        if state.phase is Phase.FILL:  # what changed meanwhile, and whether anything was removed under our feet
            return change(phase=Phase.CATCH_UP, link=state.token) if state.token else change(phase=Phase.DONE, link="")
        token = self.session.checked_link(answer.delta_link, self.mailbox) if answer.delta_link else ""
        if items >= self.round_cap and state.phase is not Phase.CATCH_UP:
            self.session.count("rounds_filled")
            return change(phase=Phase.FILL, link=self._fill_url(state), token=token, items=0)
        return change(phase=Phase.DONE, link="", token=token, items=items)

    def _next(self, answer: Answer, url: str) -> str:
        link = self.session.checked_link(answer.next_link or "", self.mailbox)
        is_stalled = not answer.value and link not in self.stalled  # nothing yet: asking again is fine, once
        self.seen.add(url)
        if is_stalled:
            self.stalled.add(link)
        elif link in self.seen:
            raise loop()
        return link

    def _first_url(self, state: FolderState) -> str:
        asked = {
            "$select": ",".join(SELECTED),
            "$filter": f"receivedDateTime ge {literal(state.since)}",
            "$orderby": "receivedDateTime desc",
        }
        return f"{self._messages_url()}/delta?{query_of(asked)}"

    def _fill_url(self, state: FolderState) -> str:
        """The round's whole window by plain paging, which has no cap; what comes twice is left out."""
        window = f"receivedDateTime ge {literal(state.since)} and receivedDateTime le {literal(self.until)}"
        asked = {
            "$select": ",".join(SELECTED),
            "$filter": window,
            "$orderby": "receivedDateTime desc",
            "$top": str(self.page_size),
        }
        return f"{self._messages_url()}?{query_of(asked)}"

    def _messages_url(self) -> str:
        return f"{self.session.user_url(self.mailbox)}/mailFolders/{quote(self.folder, safe='')}/messages"


def literal(moment: datetime) -> str:
    """A moment as OData spells it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def query_of(asked: dict[str, str]) -> str:
    """Query options as Graph reads them."""
    return urlencode(asked, safe="$,:", quote_via=quote)
