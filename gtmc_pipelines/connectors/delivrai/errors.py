"""Delivr.ai's errors as data: status and error word to leaf of the error tree, sentence and next step.

Nothing of the vendor's text gets into our sentences: only words of the table are looked for in it. Words and statuses
are those of the vendor's own client (delivr-sdk 2.2.0); no page of Delivr.ai's lists them, nor plans and limits.
"""

from __future__ import annotations

from collections.abc import Mapping

from gtmc_pipelines.connectors.error_rules import LATER, TENANT, UNAVAILABLE, Rule, parsed
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault

VENDOR = "Delivr.ai"
NEW_KEY = f"Enter a working key: gtmc connectors add --tenant {TENANT} --type delivrai --key-file FILE."
_CREDIT = "Top up the credit at Delivr.ai, then sync again; the checkpoint is kept."
_PERMISSION = f"Have Delivr.ai open this data to the account's key (its plan may lack it). {NEW_KEY}"
_OPTIONS = "Check the connector's options base_url, profile and paths."
_DEVELOPER = "Report this with the status; a developer has to look at it."


BY_WORD: Mapping[tuple[int, str], Rule] = {
    (409, "not_ready"): Rule(Retry, "audience_not_ready", "is still building this audience", LATER),
    (409, "cursor_stale"): Rule(Retry, "cursor_stale", "has rebuilt the data under our cursor", LATER),
    (503, "busy"): Rule(Retry, "vendor_unavailable", "is busy", LATER),
}

BY_STATUS: Mapping[int, Rule] = {
    400: Rule(Broken, "bad_request", "refused our request as malformed", _OPTIONS),
    401: Rule(Reauthorize, "key_refused", "refused the key", NEW_KEY),
    402: Rule(Reauthorize, "out_of_credit", "says the account is out of credit", _CREDIT),
    403: Rule(Reauthorize, "forbidden", "doesn't allow this key what was asked for", _PERMISSION),
    404: Rule(Broken, "not_found", "doesn't know what was asked for", _OPTIONS),
    405: Rule(Broken, "not_found", "doesn't serve this path that way", _OPTIONS),
    409: Rule(Retry, "vendor_conflict", "can't serve this data just now", LATER),
    413: Rule(Broken, "bad_request", "finds our pages too large", "Set the option limit lower."),
    422: Rule(Broken, "bad_request", "refused our request as malformed", _OPTIONS),
    429: Rule(Retry, "vendor_throttled", "asks to slow down", LATER),
    501: Rule(Broken, "not_found", "doesn't serve this call", _OPTIONS),
}

_UNKNOWN = Rule(Broken, "unexpected_answer", "gave an answer outside its contract", _DEVELOPER)


def error_word(body: bytes) -> str:
    """The `error` of an error body; "" when there is none, or when it isn't one of the table's words."""
    answer = parsed(body)
    word = answer.get("error") if isinstance(answer, dict) else answer
    return word if isinstance(word, str) and any(word == known for _, known in BY_WORD) else ""


def fault_of(status: int, body: bytes, place: str, tenant: str = TENANT) -> SyncFault:
    """The error for an answer of `place` (host and path, never a query)."""
    rule = BY_WORD.get((status, error_word(body))) or BY_STATUS.get(status)
    if rule is None:
        rule = UNAVAILABLE if status >= 500 or status == 408 else _UNKNOWN
    return rule.fault(VENDOR, f"{status} from {place}", tenant)
