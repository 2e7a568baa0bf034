"""The mailboxes of one organization: where each copy is now, and the log of changes that delta queries read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gtmc_pipelines.sandbox.dice import token
from gtmc_pipelines.sandbox.o365.mail import Mail, Mails
from gtmc_pipelines.sandbox.o365.people import People

FOLDERS = {
    "inbox": "Inbox",
    "sentitems": "Sent Items",
    "archive": "Archive",
    "deleteditems": "Deleted Items",
    "drafts": "Drafts",
    "junkemail": "Junk Email",
}
Copy = tuple[int, int]
"""A copy of a mail: mailbox and mail number."""


READ_FLAG = "read"


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log. `kind`: upsert, read (nothing but the flag), or a removal's reason (deleted, changed)."""

    seq: int
    mailbox: int
    folder: str
    number: int
    kind: str

    @property
    def is_removal(self) -> bool:
        """Whether the message has left the folder."""
        return self.kind not in ("upsert", READ_FLAG)


@dataclass(slots=True)
class Patch:
    """What is no longer as seeded about a copy."""

    folder: str | None = None
    is_deleted: bool = False
    is_read: bool | None = None
    modified_ms: int = 0


@dataclass(slots=True)
class Store:
    """All copies. `version` grows with every change."""

    people: People
    mails: Mails
    patches: dict[Copy, Patch] = field(default_factory=dict)
    log: list[Change] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    _listed: dict[tuple[int, str], tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)

    @property
    def seq(self) -> int:
        """Number of the newest change."""
        return self.log[-1].seq if self.log else 0

    @property
    def code(self) -> str:
        """Four characters inside every id of this organization."""
        return token(4, self.people.seed, self.people.org, "exchange")

    def folder_of(self, copy: Copy) -> str:
        """The folder a copy is in."""
        patch = self.patches.get(copy)
        if patch is not None and patch.folder:
            return patch.folder
        mail = self.mails.mail(copy[1])
        is_own = mail.sender.address == self.people.owner(copy[0]).address
        return "sentitems" if is_own else "inbox"

    def is_live(self, copy: Copy) -> bool:
        """Whether a copy is still anywhere in its mailbox."""
        patch = self.patches.get(copy)
        return patch is None or not patch.is_deleted

    def has_left(self, user_id: str) -> bool:
        """Whether a user was removed from the directory."""
        return bool(self.users.get(user_id, {}).get("@removed"))

    def received_ms(self, copy: Copy) -> int:
        """When a copy arrived: a little later in each mailbox."""
        return self.mails.mail(copy[1]).sent_ms + 2_000 + 1_000 * copy[0]

    def numbers(self, mailbox: int, folder: str) -> list[int]:
        """Live copies in a folder, newest first."""
        return [number for _, number in self.listing(mailbox, folder)]

    def listing(self, mailbox: int, folder: str) -> list[tuple[int, int]]:
        """The same with the negative time of receipt before each number: sorted."""
        known = self._listed.get((mailbox, folder))
        if known is None or known[0] != self.seq:
            live = [
                (-self.received_ms((mailbox, number)), number)
                for number in self.mails.numbers_in(mailbox)
                if self.is_live((mailbox, number)) and self.folder_of((mailbox, number)) == folder
            ]
            known = self._listed[mailbox, folder] = (self.seq, sorted(live))
        return known[1]

    def copies(self) -> Iterable[Copy]:
        """All live copies, by mailbox and number."""
        for mailbox in range(self.people.mailboxes + 1):
            if mailbox < self.people.mailboxes and self.has_left(self.people.user(mailbox).id):
                continue
            for number in self.mails.numbers_in(mailbox):
                if self.is_live((mailbox, number)):
                    yield mailbox, number

    # --- changes

    def note(self, copy: Copy, folder: str, kind: str) -> None:
        """Write a change down."""
        self.log.append(Change(self.seq + 1, copy[0], folder, copy[1], kind))

    def patch(self, copy: Copy) -> Patch:
        """The patch of a copy, to be changed."""
        return self.patches.setdefault(copy, Patch())

    def move(self, copy: Copy, folder: str, reason: str) -> None:
        """Move a copy: it leaves one folder with `reason` and arrives in the other."""
        self.note(copy, self.folder_of(copy), reason)
        self.patch(copy).folder = folder
        self.note(copy, folder, "upsert")

    def delete(self, copy: Copy) -> None:
        """Delete a copy for good."""
        self.note(copy, self.folder_of(copy), "deleted")
        self.patch(copy).is_deleted = True

    # --- ids

    def message_id(self, copy: Copy, *, immutable: bool) -> str:
        """The id of a copy; the ordinary one changes with the folder."""
        text = f"{self.code}{copy[0]:04x}{copy[1]:010x}"
        if immutable:
            return "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A" + _encoded(text)
        return "AAMkADAAAAAAHYQDEapmEc2byACqAC-EWg0A" + _encoded(text + self.folder_of(copy)[:3])

    def copy_of(self, message_id: str) -> Copy | None:
        """The copy an id means, ordinary or immutable; None for anything else."""
        if message_id[:6] not in ("AAkALg", "AAMkAD"):
            return None
        try:
            text = base64.urlsafe_b64decode(message_id[36:] + "==").decode()
            copy = int(text[4:8], 16), int(text[8:18], 16)
        except (binascii.Error, ValueError):
            return None
        is_known = copy[1] < self.mails.seeded or copy[1] in self.mails.created
        if text[:4] != self.code or not is_known or copy[0] not in self.mails.mail(copy[1]).mailboxes:
            return None
        is_stale = message_id.startswith("AAMkAD") and text[18:] != self.folder_of(copy)[:3]
        return None if is_stale else copy

    def folder_id(self, mailbox: int, folder: str) -> str:
        """The id of a folder."""
        return "AQMkAD" + token(40, self.code, mailbox, folder)

    def folder_named(self, mailbox: int, text: str) -> str | None:
        """The folder a well-known name or an id means."""
        if text.lower() in FOLDERS:
            return text.lower()
        return next((name for name in FOLDERS if self.folder_id(mailbox, name) == text), None)

    # --- the next start

    def dump(self) -> dict[str, Any]:
        """JSON-ready state."""
        return {
            "anchor_ms": self.mails.anchor_ms,
            "sizes": [self.people.mailboxes, self.mails.per_mailbox],
            "created": [[number, dict(wish)] for number, wish in self.mails.created.items()],
            "patches": [[*copy, asdict(patch)] for copy, patch in self.patches.items()],
            "log": [[c.seq, c.mailbox, c.folder, c.number, c.kind] for c in self.log],
            "users": self.users,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave (the anchor is taken up by whoever makes the mails)."""
        self.mails.created = {int(number): wish for number, wish in state["created"]}
        self.patches = {(int(m), int(n)): Patch(**patch) for m, n, patch in state["patches"]}
        self.log = [Change(*line) for line in state["log"]]
        self.users = {name: dict(change) for name, change in state["users"].items()}
        self._listed.clear()


def spelled_conversation(mail: Mail) -> str:
    """Base64 of a conversation index, as Outlook keeps it."""
    return base64.b64encode(mail.conversation[:22].encode()).decode()


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
