"""Customer.io's errors as data: status to leaf of the error tree, sentence and next step.

Two shapes are met, `{"errors": [{"detail", "status"}]}` and `{"meta": {"error"}}`. Nothing of their text
gets into our sentences; it is only looked at to tell a busy second from a quota that is used up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry, SyncFault

QUOTA_PAUSE = timedelta(hours=1)
"""No header says when a daily quota is free again; one request an hour finds out."""

_PER_SECONDS = re.compile(r"\bper \d+ ?s", re.IGNORECASE)

_PERMISSION = "Give the App API key the permission to read in Customer.io, or make another one."
_DEVELOPER = "Report this with the time of the sync; a developer has to look at it."
_LATER = "It is tried again later."


class Leaf(Enum):
    """Whose turn it is."""

    RETRY = "retry"
    DEFER = "defer"
    REAUTHORIZE = "reauthorize"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a status means; `code` is ours, `sentence` follows "Customer.io "."""

    leaf: Leaf
    code: str
    sentence: str
    next_step: str


BY_STATUS: Mapping[int, Rule] = {
    400: Rule(Leaf.BROKEN, "bad_request", "refused a request as malformed.", _DEVELOPER),
    401: Rule(Leaf.REAUTHORIZE, "key_refused", "refused the API key.", ""),
    402: Rule(
        Leaf.REAUTHORIZE, "account_suspended", "wants the account to be settled first.", "Settle it with Customer.io."
    ),
    403: Rule(Leaf.REAUTHORIZE, "forbidden", "doesn't allow this key what was asked for.", _PERMISSION),
    404: Rule(Leaf.BROKEN, "not_found", "doesn't know the address that was asked.", "Check the base URL."),
    405: Rule(Leaf.BROKEN, "not_found", "doesn't serve the address that was asked.", "Check the base URL."),
    408: Rule(Leaf.RETRY, "vendor_unavailable", "gave up waiting for a request.", _LATER),
    413: Rule(Leaf.BROKEN, "bad_request", "found a request too large.", _DEVELOPER),
    422: Rule(Leaf.BROKEN, "bad_request", "could not work with a request.", _DEVELOPER),
    429: Rule(Leaf.DEFER, "daily_quota", "has no requests left for today.", ""),
}
"""A 429 that says when to come back, or that names a limit per second, is waited for and not in this table."""

_UNAVAILABLE = Rule(Leaf.RETRY, "vendor_unavailable", "could not answer just now.", _LATER)
_UNKNOWN = Rule(Leaf.BROKEN, "unexpected_answer", "gave an answer outside its contract.", _DEVELOPER)


def is_busy_second(status: int, has_retry_after: bool, body: bytes) -> bool:
    """Whether a 429 is about the last second or so; without `Retry-After` and such words it is the day's quota."""
    return status == 429 and (has_retry_after or _PER_SECONDS.search(detail_of(body)) is not None)


def connect_again(tenant_id: str) -> str:
    """The next step for a key that doesn't work."""
    return f"Enter a key again: gtmc connectors connect --tenant {tenant_id} --connector customerio --key-file FILE."


def fault_of(status: int, body: bytes, now: datetime, tenant_id: str) -> SyncFault:
    """The error for an answer that isn't transient. An unknown status is judged by its hundred."""
    rule = BY_STATUS.get(status) or (_UNAVAILABLE if status >= 500 else _UNKNOWN)
    sentence = f"Customer.io {rule.sentence[:-1]} ({status})."
    if rule.leaf is Leaf.DEFER:
        until = (now + QUOTA_PAUSE).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return Defer(rule.code, sentence, until=until, next_step=f"The sync goes on at {until:%Y-%m-%d %H:%M} UTC.")
    if rule.leaf is Leaf.RETRY:
        return Retry(rule.code, sentence, next_step=rule.next_step)
    if rule.leaf is Leaf.REAUTHORIZE:
        next_step = f"{rule.next_step} {connect_again(tenant_id)}".strip()
        return Reauthorize(rule.code, sentence, next_step=next_step)
    return Broken(rule.code, sentence, next_step=rule.next_step)


def detail_of(body: bytes) -> str:
    """The vendor's own words in either shape, "" when there are none. Never to be shown."""
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(parsed, dict):
        return ""
    errors, meta = parsed.get("errors"), parsed.get("meta")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("detail") or "")
    return str(meta.get("error") or "") if isinstance(meta, dict) else ""


def outside_contract(what: str) -> Broken:
    """The error for an answer that can't be what the vendor promises."""
    return Broken(
        "unexpected_answer",
        f"Customer.io's {what} is not what its contract says.",
        next_step="Sync again; if it stays, report the time of the sync.",
    )
