"""Fathom's errors as data: status to leaf of the error tree, sentence and next step.

Fathom doesn't document its error bodies, so they are never read: the status alone decides, and no text
of the vendor can get into a sentence, a log or an exception. Of statuses it documents 429 alone ("API overview",
developers.fathom.ai); 402 and 403 are taken by what HTTP says they mean. Where keys are made: Settings, API Access.
"""

from __future__ import annotations

from collections.abc import Mapping

from gtmc_pipelines.connectors.error_rules import LATER, TENANT, UNAVAILABLE, Rule, for_tenant
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault

VENDOR = "Fathom"
_CONNECT = f"gtmc connectors connect --tenant {TENANT} --connector fathom"
CONNECT_AGAIN = f"Make a key at Fathom (Settings, API Access) and enter it: {_CONNECT}."
_PLAN = f"Settle the plan with Fathom, then sync again; if the account is another one now: {CONNECT_AGAIN}"
_ACCESS = f"Keys see what their own user may see: use one of a user with access to the meetings. {CONNECT_AGAIN}"
_DEVELOPER = "Report this with the status; a developer has to look at it."
_BASE_URL = "Check the options base_url and profile of the connector."


BY_STATUS: Mapping[int, Rule] = {
    400: Rule(Broken, "bad_request", "refused our request as malformed", _DEVELOPER),
    401: Rule(Reauthorize, "key_refused", "doesn't accept the API key", CONNECT_AGAIN),
    402: Rule(Reauthorize, "plan_lacks_api", "wants the account's plan to be settled first", _PLAN),
    403: Rule(Reauthorize, "forbidden", "says this key may not do this", _ACCESS),
    404: Rule(Broken, "not_found", "doesn't know what was asked for", _BASE_URL),
    408: Rule(Retry, "vendor_unavailable", "could not answer in time", LATER),
    429: Rule(Retry, "vendor_throttled", "asks to slow down", LATER),
}

INCLUDES_REFUSED = Rule(
    Broken,
    "include_refused",
    "refused a list of meetings with their transcripts",
    "For a token of an OAuth app, set the option include_mode=recordings; else check the key's access.",
)
"""400 or 403 on a list with include flags, which OAuth apps may not use."""

_UNKNOWN = Rule(Broken, "unexpected_answer", "gave an answer outside its contract", _DEVELOPER)


def fault_of(status: int, tenant_id: str = TENANT, *, has_includes: bool = False) -> SyncFault:
    """The error for an answer that is no success. An unknown status is judged by its hundreds."""
    rule = BY_STATUS.get(status) or (UNAVAILABLE if status >= 500 else _UNKNOWN)
    if has_includes and status in {400, 403}:
        rule = INCLUDES_REFUSED
    return rule.fault(VENDOR, status, tenant_id)


def not_connected(tenant_id: str) -> Reauthorize:
    """The error for a connector without a usable key."""
    sentence = "Fathom is not connected: there is no API key."
    return Reauthorize("not_connected", sentence, next_step=for_tenant(CONNECT_AGAIN, tenant_id))
