"""Messages a full read of the folders didn't see, looked for in the whole mailbox; and what a mailbox holds.

A message that its owner has filed, archived or put among the deleted items is in no folder that is read, and is
still there. Its id at the vendor is not kept, so the mailbox's list of that time is walked, and each message's
own name (hashed, as it is stored) is compared. Nothing of what is listed is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from urllib.parse import quote

from gtmc_pipelines.connectors.o365.api import Mailbox, O365Session, loop
from gtmc_pipelines.connectors.o365.errors import GraphRefusal
from gtmc_pipelines.connectors.o365.folders import literal, query_of
from gtmc_pipelines.connectors.o365.messages import Answer, Email, answer_of, items_of, names_in
from gtmc_pipelines.connectors.o365.policy import SELECTED
from gtmc_pipelines.connectors.o365.streams import DEFAULT_PAGE_SIZE, folders_of
from gtmc_pipelines.model.errors import Retry, Unserved
from gtmc_pipelines.model.records import Census, Found, Unseen

ARRIVAL = timedelta(days=2)
"""How much later than it was sent a message may have arrived."""

COMPARED = timedelta(days=7)
"""How far back the daily comparison of one mailbox looks."""


def still_there(session: O365Session, part: str, unseen: Sequence[Unseen]) -> Iterator[Found]:
    """Which of these messages are anywhere in the mailbox `part`, or in any mailbox of the directory when it is "".

    A mailbox that can't be asked now may hold what only it could: then everything counts as present.
    """
    left = {one.external_id for one in unseen}
    times = [one.at for one in unseen if one.at is not None]
    if not times:
        yield Found(present=sorted(left))
        return
    since, until = min(times), max(times) + ARRIVAL
    for key in [part] if part else session.everybody():
        if not left:
            return
        try:
            for names in _walk(session, key, since, until):
                present = left.intersection(names)
                left -= present
                if present:
                    yield Found(present=sorted(present))
        except (GraphRefusal, Retry) as refusal:
            if not part and isinstance(refusal, GraphRefusal) and _is_unserved(session, refusal):
                continue  # nothing of it can be read, now as before
            yield Found(present=sorted(left))
            return


def has_mailbox(session: O365Session, key: str) -> bool:
    """Whether the user is still in the directory. Raises by whose turn it is when that can't be told."""
    try:
        session.get(f"{session.user_url(key)}?$select=id")
    except GraphRefusal as refusal:
        if refusal.status == 404:
            return False
        raise refusal.fault from None
    return True


def census(session: O365Session, until: datetime, turn: int) -> Iterator[Census]:
    """Messages of the last days in one mailbox, another each day, by their names.

    A folder's total would count what is never kept, so its list is judged as a sync judges it; what is stored
    is compared with all folders, as a message that was filed is still there.
    """
    if session.policy.keeps_nothing:
        return
    mailboxes = session.mailboxes()
    if not mailboxes:
        return
    mailbox = mailboxes[turn % len(mailboxes)]
    since = until - COMPARED
    try:
        ids = {name for folder in folders_of(session) for name in _kept(session, mailbox, folder, since, until)}
        names = set[str]().union(*_walk(session, mailbox.id, since, until))
    except GraphRefusal as refusal:
        if _is_unserved(session, refusal):
            return
        raise refusal.fault from None
    scope = f"messages of the last {COMPARED.days} days in one mailbox"
    yield Census(scope, ids=sorted(ids), names=sorted(names), slice=mailbox.id, since=since, until=until)


def _is_unserved(session: O365Session, refusal: GraphRefusal) -> bool:
    return isinstance(refusal.at_mailbox(session.settings.tenant_id, is_first=True), Unserved)


def _kept(session: O365Session, mailbox: Mailbox, folder: str, since: datetime, until: datetime) -> Iterator[str]:
    policy = session.policy_for(mailbox)
    url = f"{session.user_url(mailbox.id)}/mailFolders/{quote(folder, safe='')}/messages"
    for answer in _pages(session, mailbox.id, url, since, until):
        for item in items_of(answer, policy, mailbox.addresses, since):
            if isinstance(item, Email):
                yield item.record.external_id


def _walk(session: O365Session, key: str, since: datetime, until: datetime) -> Iterator[set[str]]:
    for answer in _pages(session, key, f"{session.user_url(key)}/messages", since, until):
        yield names_in(answer)


def _pages(session: O365Session, key: str, url: str, since: datetime, until: datetime) -> Iterator[Answer]:
    window = f"receivedDateTime ge {literal(since)} and receivedDateTime le {literal(until + timedelta(seconds=1))}"
    size = int(session.settings.options.get("mail_page_size") or DEFAULT_PAGE_SIZE)
    asked = {
        "$select": ",".join(SELECTED),
        "$filter": window,
        "$orderby": "receivedDateTime desc",
        "$top": str(size),
    }
    link, seen = f"{url}?{query_of(asked)}", set[str]()
    while link:
        if link in seen:
            raise loop()
        seen.add(link)
        answer = answer_of(session.get(link, size))
        yield answer
        link = session.checked_link(answer.next_link, key) if answer.next_link else ""
