"""Fathom's errors as data: status to leaf of the error tree, sentence and next step.

Fathom doesn't document its error bodies, so they are never read: the status alone decides, and no text
of the vendor can get into a sentence, a log or an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault

_TENANT = "<tenant>"
CONNECT_AGAIN = f"Enter a working key: gtmc connectors connect --tenant {_TENANT} --connector fathom."
_LATER = "It is tried again later."
_DEVELOPER = "Report this with the status; a developer has to look at it."
_BASE_URL = "Check the options base_url and profile of the connector."


@dataclass(frozen=True, slots=True)
class Rule:
    """What a status means; `code` is ours, `sentence` follows "Fathom "."""

    leaf: Callable[..., SyncFault]
    code: str
    sentence: str
    next_step: str

    def fault(self, status: int, tenant_id: str) -> SyncFault:
        """The error, with the status in brackets and the tenant in the command to run."""
        next_step = self.next_step.replace(_TENANT, tenant_id)
        return self.leaf(self.code, f"Fathom {self.sentence} ({status}).", next_step=next_step)


BY_STATUS: Mapping[int, Rule] = {
    400: Rule(Broken, "bad_request", "refused our request as malformed", _DEVELOPER),
    401: Rule(Reauthorize, "key_refused", "doesn't accept the API key", CONNECT_AGAIN),
    403: Rule(Reauthorize, "forbidden", "says this key may not do this", "Use a key with access to the meetings."),
    404: Rule(Broken, "not_found", "doesn't know what was asked for", _BASE_URL),
    408: Rule(Retry, "vendor_unavailable", "could not answer in time", _LATER),
    429: Rule(Retry, "vendor_throttled", "asks to slow down", _LATER),
}

INCLUDES_REFUSED = Rule(
    Broken,
    "include_refused",
    "refused a list of meetings with their transcripts",
    "For a token of an OAuth app, set the option include_mode=recordings; else check the key's access.",
)
"""400 or 403 on a list with include flags, which OAuth apps may not use."""

_UNAVAILABLE = Rule(Retry, "vendor_unavailable", "could not answer just now", _LATER)
_UNKNOWN = Rule(Broken, "unexpected_answer", "gave an answer outside its contract", _DEVELOPER)


def fault_of(status: int, tenant_id: str = _TENANT, *, has_includes: bool = False) -> SyncFault:
    """The error for an answer that is no success. An unknown status is judged by its hundreds."""
    if has_includes and status in {400, 403}:
        return INCLUDES_REFUSED.fault(status, tenant_id)
    return BY_STATUS.get(status, _UNAVAILABLE if status >= 500 else _UNKNOWN).fault(status, tenant_id)


def not_connected(tenant_id: str) -> Reauthorize:
    """The error for a connector without a usable key."""
    sentence = "Fathom is not connected: there is no API key."
    return Reauthorize("not_connected", sentence, next_step=CONNECT_AGAIN.replace(_TENANT, tenant_id))
