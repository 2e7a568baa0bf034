"""Vendors' errors as data: what an answer means, and the fault of the error tree that it becomes.

A vendor's `errors.py` holds its tables of rules and its own judgement of which rule an answer falls under.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry, SyncFault, Unserved

TENANT = "<tenant>"
"""Stands in a next step for the tenant whose command it names."""

LATER = "It is tried again later."
_MOST_BYTES = 1024 * 1024
QUOTA_PAUSE = timedelta(hours=1)
"""Daily quotas have no header that says when they are free again; one request an hour finds out."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer means. `leaf` says whose turn it is, `code` is ours.

    `sentence` follows the vendor's name and has no full stop: what the vendor said comes after it, in brackets.
    A rule for Defer needs no next step: it is the hour at which the sync goes on.
    """

    leaf: type[Retry] | type[Defer] | type[Reauthorize] | type[Unserved] | type[Broken]
    code: str
    sentence: str
    next_step: str = ""

    def fault(self, vendor: str, mark: object, tenant: str, now: datetime | None = None) -> SyncFault:
        """The error; `mark` is the status or code it is for, `now` where a pause starts (else the present)."""
        sentence = f"{vendor} {self.sentence} ({mark})."
        if issubclass(self.leaf, Defer):
            until = ((now or datetime.now(UTC)) + QUOTA_PAUSE).replace(second=0, microsecond=0) + timedelta(minutes=1)
            next_step = f"The sync goes on by itself soon after {until:%Y-%m-%d %H:%M} UTC."
            return self.leaf(self.code, sentence, until=until, next_step=next_step)
        return self.leaf(self.code, sentence, next_step=for_tenant(self.next_step, tenant))


UNAVAILABLE = Rule(Retry, "vendor_unavailable", "could not answer just now", LATER)


def for_tenant(next_step: str, tenant: str) -> str:
    """The next step with the tenant's name in it."""
    return next_step.replace(TENANT, tenant)


def parsed(body: bytes) -> Any:
    """An error's body as JSON, None when it is none, or larger than an error ever is. Never to be shown."""
    if len(body) > _MOST_BYTES:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def outside_contract(vendor: str, what: str) -> Broken:
    """The error for an answer that can't be what the vendor promises."""
    return Broken(
        "unexpected_answer",
        f"{vendor}'s {what} is not what its contract says.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )
