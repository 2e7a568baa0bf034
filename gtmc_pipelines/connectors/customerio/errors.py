"""Customer.io's errors as data: status to leaf of the error tree, sentence and next step.

Two shapes are met, `{"errors": [{"detail", "status"}]}` and `{"meta": {"error"}}`. Nothing of their text
gets into our sentences; it is only looked at to tell a busy second from a quota that is used up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from gtmc_pipelines.connectors.error_rules import LATER, TENANT, UNAVAILABLE, Rule, parsed
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry, SyncFault

VENDOR = "Customer.io"
CONNECT_AGAIN = f"Enter a key again: gtmc connectors connect --tenant {TENANT} --connector customerio --key-file FILE."

_PER_SECONDS = re.compile(r"\bper \d+ ?s", re.IGNORECASE)

_SETTLE = f"Settle it with Customer.io. {CONNECT_AGAIN}"
_PERMISSION = f"Else give the App API key the permission to read, or make another one. {CONNECT_AGAIN}"
_DEVELOPER = "Report this with the time of the sync; a developer has to look at it."


ALLOW_LIST = (
    "If the account has an IP address allowlist (Account Settings, API Credentials), have the fixed address the "
    "workers call from added to it, for this workspace."
)
"""Addresses that aren't listed are denied even with a valid key ("Manage your API credentials", docs.customer.io).

With which status isn't published, so both 401 and 403 say it.
"""

BY_STATUS: Mapping[int, Rule] = {
    400: Rule(Broken, "bad_request", "refused a request as malformed", _DEVELOPER),
    401: Rule(
        Reauthorize,
        "key_refused",
        "refused the API key: it is wrong, withdrawn, or the allowlist of addresses lacks this worker's",
        f"{ALLOW_LIST} If that is not it: {CONNECT_AGAIN}",
    ),
    402: Rule(Reauthorize, "account_suspended", "wants the account to be settled first", _SETTLE),
    403: Rule(Reauthorize, "forbidden", "doesn't allow this key what was asked for", f"{ALLOW_LIST} {_PERMISSION}"),
    404: Rule(Broken, "not_found", "doesn't know the address that was asked", "Check the base URL."),
    405: Rule(Broken, "not_found", "doesn't serve the address that was asked", "Check the base URL."),
    408: Rule(Retry, "vendor_unavailable", "gave up waiting for a request", LATER),
    413: Rule(Broken, "bad_request", "found a request too large", _DEVELOPER),
    422: Rule(Broken, "bad_request", "could not work with a request", _DEVELOPER),
    429: Rule(Defer, "daily_quota", "has no requests left for today"),
}
"""A 429 that says when to come back, or that names a limit per second, is waited for and not in this table."""

_UNKNOWN = Rule(Broken, "unexpected_answer", "gave an answer outside its contract", _DEVELOPER)


def is_busy_second(status: int, has_retry_after: bool, body: bytes) -> bool:
    """Whether a 429 is about the last second or so; without `Retry-After` and such words it is the day's quota."""
    return status == 429 and (has_retry_after or _PER_SECONDS.search(detail_of(body)) is not None)


def fault_of(status: int, body: bytes, now: datetime, tenant_id: str) -> SyncFault:
    """The error for an answer that isn't transient. An unknown status is judged by its hundred."""
    rule = BY_STATUS.get(status) or (UNAVAILABLE if status >= 500 else _UNKNOWN)
    return rule.fault(VENDOR, status, tenant_id, now)


def detail_of(body: bytes) -> str:
    """The vendor's own words in either shape, "" when there are none. Never to be shown."""
    answer = parsed(body)
    if not isinstance(answer, dict):
        return ""
    errors, meta = answer.get("errors"), answer.get("meta")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("detail") or "")
    return str(meta.get("error") or "") if isinstance(meta, dict) else ""
