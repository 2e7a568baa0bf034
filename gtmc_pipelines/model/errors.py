"""The error tree: every fault says whose turn it is, in one sentence, with the next step.

    GtmcError
    ├── Misuse          what the caller typed or configured is wrong; nothing was done
    └── SyncFault       something went wrong while a sync ran
        ├── Retry         transient: the same call may work in a moment
        ├── Defer         quota: go on at a stated time, the checkpoint is kept
        ├── Reauthorize   the user must reconnect (or accept the DPA)
        ├── Reject        this record only; its neighbours are written
        ├── Unserved      this member of a group only (a mailbox): left out with its reason, the others are read
        └── Broken        our bug, or a configuration only a developer can mend

No error carries a payload, a secret or a person's data (design section 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from gtmc_pipelines.model.shown_text import shown


class GtmcError(Exception):
    """Root of the tree.

    `code` is stable and machine-readable (snake_case); `sentence` is for the user; `next_step`
    says what to do about it. `faults` are what the sentence lists, each on a line of its own in it. `str(error)` is the
    sentence followed by the next step.
    """

    faults: tuple[str, ...] = ()

    def __init__(self, code: str, sentence: str, *, next_step: str = "") -> None:
        super().__init__(code, sentence, next_step)
        self.code = code
        self.sentence = sentence
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.sentence} {self.next_step}".strip()


class Misuse(GtmcError):
    """The caller's input or configuration is wrong: an unknown tenant, a taken port, a bad key."""

    def __init__(self, code: str, sentence: str, *, next_step: str = "", faults: Iterable[str] = ()) -> None:
        listed = tuple(map(shown, faults))
        if listed:
            sentence = "\n  ".join((shown(sentence), *listed))
        super().__init__(code, sentence, next_step=next_step)
        self.faults = listed


class SyncFault(GtmcError):
    """Something that ends, pauses or thins out a sync."""


class Retry(SyncFault):
    """Transient. `after_seconds` is the vendor's own wish, when it stated one."""

    def __init__(self, code: str, sentence: str, *, next_step: str = "", after_seconds: float | None = None) -> None:
        super().__init__(code, sentence, next_step=next_step)
        self.after_seconds = after_seconds


class Defer(SyncFault):
    """Quota used up: the sync ends with its checkpoint kept and goes on at `until` (UTC)."""

    def __init__(self, code: str, sentence: str, *, until: datetime, next_step: str = "") -> None:
        super().__init__(code, sentence, next_step=next_step)
        self.until = until.astimezone(UTC)


class Reauthorize(SyncFault):
    """The user must act: reconnect, re-enter a key, or accept the data-processing agreement."""


class Reject(SyncFault):
    """One record can't be written; `field` names the source field when one is to blame."""

    def __init__(self, code: str, sentence: str, *, field: str = "", next_step: str = "") -> None:
        super().__init__(code, sentence, next_step=next_step)
        self.field = field


class Broken(SyncFault):
    """Our bug, or a vendor answer outside its contract. Never retried blindly."""


class Unserved(SyncFault):
    """The vendor can't serve one member of a group: a user without a mailbox, one out of the app's reach.

    The member is left out of the sync with `code` as its reason, and the others are read. `when_all` is
    the fault it is once the vendor has served none of them; without one, this one's own sentence is told.
    """

    def __init__(self, code: str, sentence: str, *, next_step: str = "", when_all: SyncFault | None = None) -> None:
        super().__init__(code, sentence, next_step=next_step)
        self.when_all = when_all
