"""Where a read of a mailbox stands: what a page's checkpoint and a mailbox's watermark hold, as JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from gtmc_pipelines.connectors import positions

MOST_KNOWN = 2_000
"""Messages per mailbox whose removal can be recognized; the newest are kept."""


class Phase(StrEnum):
    """Where a folder stands."""

    START = "start"  # its first call is to be made
    ROUND = "round"  # in a delta round
    FILL = "fill"  # the round was cut at the vendor's cap; its window is read again by plain paging
    CATCH_UP = "catch_up"  # after a fill: what the delta says has changed while it was under way
    DONE = "done"


class FolderState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One folder: `link` is the next call, `token` the delta link of the round that has ended.

    `since` bounds the round from below. `items` counts what the round has delivered. `was_lost` says
    that the vendor has lost its state in this very read: a second time is not forgiven. `is_unsure`: something was
    removed while a window was read by plain pages, which count: one that was behind it may have been passed by.
    """

    since: datetime
    phase: Phase = Phase.START
    link: str = ""
    token: str = ""
    items: int = 0
    was_lost: bool = False
    is_unsure: bool = False

    @property
    def is_absent(self) -> bool:
        """Whether the mailbox turned out not to have this folder."""
        return self.phase is Phase.DONE and not self.token and not self.items


class MailboxState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All folders of a mailbox. `policy` is the fingerprint of the lists it was read under.

    `floor` is the oldest time anything is kept of, `at` the upper bound of the read. `known` leads from
    (hashed) message ids to external ids, for messages no other mailbox of the tenant can have.
    """

    policy: str
    floor: datetime
    at: datetime
    folders: dict[str, FolderState] = {}
    known: dict[str, str] = {}

    @property
    def is_done(self) -> bool:
        """Whether every folder has been read."""
        return all(folder.phase is Phase.DONE for folder in self.folders.values())

    @property
    def is_bare(self) -> bool:
        """Whether the mailbox has none of the folders that are read: nothing is known of it then."""
        return bool(self.folders) and all(folder.is_absent for folder in self.folders.values())


_DECODER = msgspec.json.Decoder(MailboxState)


def decode(text: str) -> MailboxState:
    """From a page's text. Raises Broken for anything else."""
    return positions.decoded(text, _DECODER, "position of a mailbox")
