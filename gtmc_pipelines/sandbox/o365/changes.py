"""Changing mailboxes as their owners would: new mail, reading, moving, deleting, restoring; users come and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.sandbox.o365.people import People
from gtmc_pipelines.sandbox.o365.store import FOLDERS, READ_FLAG, Copy, Store
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.vendor import Mutation

_USER_FIELDS = frozenset({"accountEnabled", "displayName", "jobTitle", "mail"})
_MAIL_FIELDS = frozenset({"mailbox", "from", "to", "cc", "folder", "reason", "isRead", "only"})
_STRIDE = 7919
REMOVED = "@removed"
"""Kept beside a user's changed properties: whether it was removed from the directory, its mailbox with it."""


def change(store: Store, mutation: Mutation) -> list[str]:
    """Carry a mutation out; gives the ids changed. Raises SandboxMisuse when it can't be done in full."""
    if mutation.object == "User":
        return _change_users(store, mutation)
    if mutation.object != "Message":
        raise SandboxMisuse(f"{mutation.object} can't be changed: Message and User can.")
    unknown = sorted(set(mutation.fields) - _MAIL_FIELDS)
    if unknown:
        raise SandboxMisuse(f"Message has no field {unknown[0]!r} to set; known are {', '.join(sorted(_MAIL_FIELDS))}.")
    if mutation.action == "create":
        copies = [_created(store, mutation, turn) for turn in range(mutation.count)]
    else:
        copies = _named(store, mutation) if mutation.ids else _some(store, mutation)
        for copy in copies:
            _change(store, copy, mutation)
    return [store.message_id(copy, immutable=True) for copy in copies]


def _created(store: Store, mutation: Mutation, turn: int) -> Copy:
    fields = mutation.fields
    mailbox = _mailbox(store.people, fields.get("mailbox"), turn)
    wish = {name: fields[name] for name in ("from", "to", "cc") if name in fields}
    number = store.mails.create({"mailbox": mailbox, "sent_ms": mutation.stamp_ms - 2_000, **wish})
    copy = mailbox, number
    if "folder" in fields:
        store.patch(copy).folder = _folder(fields["folder"])
    store.note(copy, store.folder_of(copy), "upsert")
    return copy


def _change(store: Store, copy: Copy, mutation: Mutation) -> None:
    fields = mutation.fields
    patch = store.patch(copy)
    if mutation.action in ("delete", "purge"):
        store.delete(copy)
    elif mutation.action == "undelete":
        patch.is_deleted = False
        store.note(copy, store.folder_of(copy), "upsert")
    elif "folder" in fields:
        store.move(copy, _folder(fields["folder"]), str(fields.get("reason", "changed")))
    else:
        patch.is_read = bool(fields.get("isRead", not patch.is_read))
        patch.modified_ms = mutation.stamp_ms
        store.note(copy, store.folder_of(copy), READ_FLAG)


def _named(store: Store, mutation: Mutation) -> list[Copy]:
    copies = []
    for text in mutation.ids:
        copy = store.copy_of(text)
        if copy is None or store.is_live(copy) == (mutation.action == "undelete"):
            raise SandboxMisuse(f"There is no message {text!r} to {mutation.action}.")
        copies.append(copy)
    return copies


def _some(store: Store, mutation: Mutation) -> list[Copy]:
    """As many copies as wanted, spread over the mailboxes, others at each mutation."""
    wants_dead = mutation.action == "undelete"
    if wants_dead:
        found = [copy for copy, patch in store.patches.items() if patch.is_deleted]
    else:
        found = [copy for copy in store.copies() if store.folder_of(copy) in ("inbox", "sentitems")]
        if mutation.fields.get("only") == "direct":
            found = [copy for copy in found if _is_direct(store, copy, mutation.stamp_ms)]
    if len(found) < mutation.count:
        raise SandboxMisuse(f"Only {len(found)} Message records are there to {mutation.action}.")
    start = (store.seq * _STRIDE) % max(1, len(found))
    step = max(1, len(found) // max(1, mutation.count))
    return [found[(start + turn * step) % len(found)] for turn in range(mutation.count)]


def _is_direct(store: Store, copy: Copy, now_ms: int) -> bool:
    """A recent mail between the mailbox's owner and one person of a suggested domain, and nobody else."""
    mail, owner = store.mails.mail(copy[1]), store.people.owner(copy[0]).address
    others = [one.address for one in (mail.sender, *mail.to, *mail.cc) if one.address != owner]
    is_recent = now_ms - mail.sent_ms < 29 * 86_400_000
    return is_recent and len(others) == 1 and store.people.is_partner(others[0]) and len(mail.mailboxes) == 1


def _change_users(store: Store, mutation: Mutation) -> list[str]:
    if mutation.action in ("delete", "undelete"):
        ids = mutation.ids or (store.people.user(store.people.mailboxes - 1).id,)
        for text in ids:
            store.users.setdefault(text, {})[REMOVED] = mutation.action == "delete"
        return list(ids)
    if mutation.action != "update" or not set(mutation.fields) <= _USER_FIELDS or not mutation.fields:
        raise SandboxMisuse(f"A User can be deleted, undeleted, and updated in {', '.join(sorted(_USER_FIELDS))}.")
    ids = mutation.ids or tuple(store.people.user(index).id for index in range(mutation.count))
    for text in ids:
        user = store.people.find(text)
        if user is None:
            raise SandboxMisuse(f"There is no User {text!r}.")
        store.users.setdefault(user.id, {}).update(_plain(mutation.fields))
    return list(ids)


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return dict(fields)


def _mailbox(people: People, wish: Any, turn: int) -> int:
    if wish is None:
        return turn % people.mailboxes
    user = people.find(str(wish))
    index = user.mailbox if user else int(wish) if str(wish).isdigit() else None
    if index is None or not 0 <= index <= people.mailboxes:
        raise SandboxMisuse(f"There is no mailbox {wish!r}: give a user's id, principal name or number.")
    return index


def _folder(text: Any) -> str:
    name = str(text).lower()
    if name not in FOLDERS:
        raise SandboxMisuse(f"There is no folder {text!r}; known are {', '.join(FOLDERS)}.")
    return name
