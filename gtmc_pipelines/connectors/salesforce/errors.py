"""Salesforce's errors as data: status and errorCode to leaf of the error tree, sentence and next step.

Of the vendor's text only the errorCode and, for INVALID_FIELD, the column and entity names get into our
sentences, each checked against a strict pattern: the text itself may hold data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry, SyncFault

QUOTA_PAUSE = timedelta(hours=1)
"""The daily quota is a rolling 24 hours, so some of it is free again within the hour; no header says when."""

_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_COLUMN = re.compile(r"No such column '([A-Za-z][A-Za-z0-9_.]{0,79})' on entity '([A-Za-z][A-Za-z0-9_]{0,79})'")

_TENANT = "<tenant>"
CONNECT_AGAIN = f"Connect Salesforce again: gtmc connectors connect --tenant {_TENANT} --connector salesforce."
_ADMIN = "Ask an administrator of the Salesforce org to correct this, then sync again."
_DEVELOPER = "Report this with the error code; a developer has to look at it."
_LATER = "It is tried again later."


class Leaf(Enum):
    """Whose turn it is."""

    RETRY = "retry"
    DEFER = "defer"
    REAUTHORIZE = "reauthorize"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Rule:
    """What an errorCode (or a bare status) means; `code` is ours, `sentence` follows "Salesforce "."""

    leaf: Leaf
    code: str
    sentence: str
    next_step: str


def _rule(leaf: Leaf, code: str, sentence: str, next_step: str) -> Rule:
    return Rule(leaf, code, f"Salesforce {sentence}", next_step)


_QUERY = "refused our query"
BY_CODE: Mapping[str, Rule] = {
    "MALFORMED_QUERY": _rule(Leaf.BROKEN, "malformed_query", f"{_QUERY} as malformed.", _DEVELOPER),
    "INVALID_FIELD": _rule(Leaf.BROKEN, "invalid_field", f"{_QUERY}: a field isn't there any more.", "Sync again."),
    "INVALID_TYPE": _rule(Leaf.BROKEN, "invalid_type", f"{_QUERY}: the object isn't there or is hidden.", _ADMIN),
    "INVALID_QUERY_LOCATOR": _rule(Leaf.RETRY, "query_locator_expired", "has dropped the query's cursor.", _LATER),
    "QUERY_TIMEOUT": _rule(Leaf.RETRY, "query_timeout", "took too long over our query.", _LATER),
    "TXN_SECURITY_METERING_ERROR": _rule(Leaf.RETRY, "security_metering", "was busy metering the query.", _LATER),
    "INVALID_SESSION_ID": _rule(Leaf.REAUTHORIZE, "session_refused", "refused a fresh session.", CONNECT_AGAIN),
    "INVALID_AUTH_HEADER": _rule(Leaf.REAUTHORIZE, "session_refused", "refused the session.", CONNECT_AGAIN),
    "REQUEST_LIMIT_EXCEEDED": _rule(Leaf.DEFER, "api_quota", "has no API calls left for the last 24 hours.", ""),
    "EXCEEDEDQUOTA": _rule(Leaf.DEFER, "bulk_quota", "has no Bulk API jobs left for the last 24 hours.", ""),
    "LIMIT_EXCEEDED": _rule(Leaf.DEFER, "api_quota", "reports a limit of the org as used up.", ""),
    "API_DISABLED_FOR_ORG": _rule(Leaf.REAUTHORIZE, "api_disabled", "doesn't allow this org the API.", _ADMIN),
    "API_CURRENTLY_DISABLED": _rule(Leaf.REAUTHORIZE, "api_disabled", "has the API switched off.", _ADMIN),
    "INSUFFICIENT_ACCESS": _rule(Leaf.REAUTHORIZE, "insufficient_access", "says this user may not do this.", _ADMIN),
    "INVALIDENTITY": _rule(Leaf.BROKEN, "bulk_unsupported", "doesn't serve this object by Bulk API.", _DEVELOPER),
    "FEATURENOTENABLED": _rule(Leaf.BROKEN, "bulk_unsupported", "has the Bulk API not enabled.", _ADMIN),
    "NOT_FOUND": _rule(Leaf.BROKEN, "not_found", "doesn't know what was asked for, or hides it.", _ADMIN),
    "UNSUPPORTED_API_VERSION": _rule(
        Leaf.BROKEN, "api_version", "doesn't serve this API version.", "Set SALESFORCE_API_VERSION to another one."
    ),
    "SERVER_UNAVAILABLE": _rule(Leaf.RETRY, "vendor_unavailable", "is not available.", _LATER),
    "UNABLE_TO_LOCK_ROW": _rule(Leaf.RETRY, "vendor_busy", "is busy with these records.", _LATER),
}

BY_STATUS: Mapping[int, Rule] = {
    300: _rule(Leaf.BROKEN, "several_records", "found several records for one id.", _DEVELOPER),
    401: _rule(Leaf.REAUTHORIZE, "session_refused", "refused the session.", CONNECT_AGAIN),
    403: _rule(Leaf.REAUTHORIZE, "forbidden", "refused the request.", _ADMIN),
    404: _rule(Leaf.BROKEN, "not_found", "doesn't know what was asked for, or hides it.", _ADMIN),
    406: _rule(Leaf.RETRY, "vendor_unavailable", "could not answer just now.", _LATER),
    409: _rule(Leaf.BROKEN, "version_mismatch", "has these results under another API version.", _DEVELOPER),
    420: _rule(Leaf.RETRY, "vendor_throttled", "asks to slow down.", _LATER),
    429: _rule(Leaf.RETRY, "vendor_throttled", "asks to slow down.", _LATER),
}

OAUTH: Mapping[str, Rule] = {
    "invalid_grant": _rule(Leaf.REAUTHORIZE, "grant_revoked", "has revoked or expired the connection.", CONNECT_AGAIN),
    "inactive_user": _rule(Leaf.REAUTHORIZE, "inactive_user", "says the connecting user is inactive.", CONNECT_AGAIN),
    "inactive_org": _rule(Leaf.REAUTHORIZE, "inactive_org", "says the org is inactive.", _ADMIN),
    "access_denied": _rule(Leaf.REAUTHORIZE, "access_denied", "says the user denied access.", CONNECT_AGAIN),
    "invalid_scope": _rule(
        Leaf.BROKEN,
        "invalid_scope",
        "doesn't allow the app these scopes.",
        "Allow `api` and `refresh_token` in the app.",
    ),
    "redirect_uri_mismatch": _rule(
        Leaf.BROKEN,
        "redirect_uri_mismatch",
        "knows another callback URL for the app.",
        "Register the URL of SALESFORCE_CALLBACK_URL, letter by letter.",
    ),
    "unsupported_grant_type": _rule(
        Leaf.BROKEN, "unsupported_grant_type", "doesn't support this kind of grant.", _DEVELOPER
    ),
    "invalid_request": _rule(Leaf.BROKEN, "invalid_request", "refused the login as malformed.", _DEVELOPER),
    "rate_limit_exceeded": _rule(Leaf.RETRY, "login_throttled", "asks to log in less often.", _LATER),
    "unknown_error": _rule(Leaf.RETRY, "login_unavailable", "could not log in just now.", _LATER),
} | {
    code: _rule(
        Leaf.BROKEN,
        "app_credentials",
        "doesn't accept our app's credentials.",
        "Check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET.",
    )
    for code in ("invalid_client", "invalid_client_id", "invalid_client_credentials")
}


def error_code(body: bytes) -> str:
    """The errorCode of a REST error body (an array), or the `error` of an OAuth one; "" when there is none."""
    found = _first_error(body)
    code = found.get("errorCode") or found.get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def fault_of(status: int, body: bytes, now: datetime, tenant: str = _TENANT) -> SyncFault:
    """The error for a REST or Bulk answer. An unknown code is judged by its status."""
    code = error_code(body)
    rule = BY_CODE.get(code) or BY_STATUS.get(status)
    if rule is None:
        rule = _UNAVAILABLE if status >= 500 or status == 408 else _UNKNOWN
    return _fault(rule, f" ({code or status})", _named_field(code, body), now, tenant)


def oauth_fault_of(status: int, body: bytes, now: datetime, tenant: str = _TENANT) -> SyncFault:
    """The error for an answer of the token or revoke endpoint."""
    code = error_code(body)
    rule = OAUTH.get(code) or (_UNAVAILABLE if status >= 500 or status == 429 else _LOGIN_REFUSED)
    return _fault(rule, f" ({code or status})", "", now, tenant)


_UNAVAILABLE = _rule(Leaf.RETRY, "vendor_unavailable", "could not answer just now.", _LATER)
_UNKNOWN = _rule(Leaf.BROKEN, "unexpected_answer", "gave an answer outside its contract.", _DEVELOPER)
_LOGIN_REFUSED = _rule(Leaf.BROKEN, "login_refused", "refused the login for an unknown reason.", _DEVELOPER)


def _fault(rule: Rule, mark: str, detail: str, now: datetime, tenant: str) -> SyncFault:
    sentence = rule.sentence[:-1] + detail + mark + "."
    if rule.leaf is Leaf.DEFER:
        until = (now + QUOTA_PAUSE).replace(second=0, microsecond=0) + timedelta(minutes=1)
        return Defer(rule.code, sentence, until=until, next_step=f"The sync goes on at {until:%Y-%m-%d %H:%M} UTC.")
    kinds: dict[Leaf, Callable[..., SyncFault]] = {
        Leaf.RETRY: Retry,
        Leaf.REAUTHORIZE: Reauthorize,
        Leaf.BROKEN: Broken,
    }
    return kinds[rule.leaf](rule.code, sentence, next_step=rule.next_step.replace(_TENANT, tenant))


def _named_field(code: str, body: bytes) -> str:
    if code != "INVALID_FIELD":
        return ""
    found = _COLUMN.search(str(_first_error(body).get("message", "")))
    return f" ({found[2]}.{found[1]})" if found else ""


def _first_error(body: bytes) -> dict[str, object]:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    return first if isinstance(first, dict) else {}
