"""Salesforce's errors as data: status and errorCode to leaf of the error tree, sentence and next step.

Of the vendor's text only the errorCode and, for INVALID_FIELD, the column and entity names get into our
sentences, each checked against a strict pattern: the text itself may hold data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from gtmc_pipelines.connectors.error_rules import LATER, TENANT, UNAVAILABLE, Rule, parsed
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry, SyncFault

VENDOR = "Salesforce"
_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_COLUMN = re.compile(r"No such column '([A-Za-z][A-Za-z0-9_.]{0,79})' on entity '([A-Za-z][A-Za-z0-9_]{0,79})'")

CONNECT_AGAIN = f"Connect Salesforce again: gtmc connectors connect --tenant {TENANT} --connector salesforce."
_ADMIN = "Ask an administrator of the Salesforce org to correct this, then sync again."
_DEVELOPER = "Report this with the error code; a developer has to look at it."


_QUERY = "refused our query"
BY_CODE: Mapping[str, Rule] = {
    "MALFORMED_QUERY": Rule(Broken, "malformed_query", f"{_QUERY} as malformed", _DEVELOPER),
    "INVALID_FIELD": Rule(Broken, "invalid_field", f"{_QUERY}: a field isn't there any more", "Sync again."),
    "INVALID_TYPE": Rule(Broken, "invalid_type", f"{_QUERY}: the object isn't there or is hidden", _ADMIN),
    "INVALID_QUERY_LOCATOR": Rule(Retry, "query_locator_expired", "has dropped the query's cursor", LATER),
    "QUERY_TIMEOUT": Rule(Retry, "query_timeout", "took too long over our query", LATER),
    "TXN_SECURITY_METERING_ERROR": Rule(Retry, "security_metering", "was busy metering the query", LATER),
    "INVALID_SESSION_ID": Rule(Reauthorize, "session_refused", "refused a fresh session", CONNECT_AGAIN),
    "INVALID_AUTH_HEADER": Rule(Reauthorize, "session_refused", "refused the session", CONNECT_AGAIN),
    "REQUEST_LIMIT_EXCEEDED": Rule(Defer, "api_quota", "has no API calls left for the last 24 hours"),
    "EXCEEDEDQUOTA": Rule(Defer, "bulk_quota", "has no Bulk API jobs left for the last 24 hours"),
    "LIMIT_EXCEEDED": Rule(Defer, "api_quota", "reports a limit of the org as used up"),
    "API_DISABLED_FOR_ORG": Rule(Reauthorize, "api_disabled", "doesn't allow this org the API", _ADMIN),
    "API_CURRENTLY_DISABLED": Rule(Reauthorize, "api_disabled", "has the API switched off", _ADMIN),
    "INSUFFICIENT_ACCESS": Rule(Reauthorize, "insufficient_access", "says this user may not do this", _ADMIN),
    "INVALIDENTITY": Rule(Broken, "bulk_unsupported", "doesn't serve this object by Bulk API", _DEVELOPER),
    "FEATURENOTENABLED": Rule(Broken, "bulk_unsupported", "has the Bulk API not enabled", _ADMIN),
    "NOT_FOUND": Rule(Broken, "not_found", "doesn't know what was asked for, or hides it", _ADMIN),
    "UNSUPPORTED_API_VERSION": Rule(
        Broken, "api_version", "doesn't serve this API version", "Set SALESFORCE_API_VERSION to another one."
    ),
    "SERVER_UNAVAILABLE": Rule(Retry, "vendor_unavailable", "is not available", LATER),
    "UNABLE_TO_LOCK_ROW": Rule(Retry, "vendor_busy", "is busy with these records", LATER),
}

BY_STATUS: Mapping[int, Rule] = {
    300: Rule(Broken, "several_records", "found several records for one id", _DEVELOPER),
    401: Rule(Reauthorize, "session_refused", "refused the session", CONNECT_AGAIN),
    403: Rule(Reauthorize, "forbidden", "refused the request", _ADMIN),
    404: Rule(Broken, "not_found", "doesn't know what was asked for, or hides it", _ADMIN),
    406: Rule(Retry, "vendor_unavailable", "could not answer just now", LATER),
    409: Rule(Broken, "version_mismatch", "has these results under another API version", _DEVELOPER),
    420: Rule(Retry, "vendor_throttled", "asks to slow down", LATER),
    429: Rule(Retry, "vendor_throttled", "asks to slow down", LATER),
}

OAUTH: Mapping[str, Rule] = {
    "invalid_grant": Rule(Reauthorize, "grant_revoked", "has revoked or expired the connection", CONNECT_AGAIN),
    "inactive_user": Rule(Reauthorize, "inactive_user", "says the connecting user is inactive", CONNECT_AGAIN),
    "inactive_org": Rule(Reauthorize, "inactive_org", "says the org is inactive", _ADMIN),
    "access_denied": Rule(Reauthorize, "access_denied", "says the user denied access", CONNECT_AGAIN),
    "invalid_scope": Rule(
        Broken,
        "invalid_scope",
        "doesn't allow the app these scopes",
        "Allow `api` and `refresh_token` in the app.",
    ),
    "redirect_uri_mismatch": Rule(
        Broken,
        "redirect_uri_mismatch",
        "knows another callback URL for the app",
        "Register the URL of SALESFORCE_CALLBACK_URL, letter by letter.",
    ),
    "unsupported_grant_type": Rule(Broken, "unsupported_grant_type", "doesn't support this kind of grant", _DEVELOPER),
    "invalid_request": Rule(Broken, "invalid_request", "refused the login as malformed", _DEVELOPER),
    "rate_limit_exceeded": Rule(Retry, "login_throttled", "asks to log in less often", LATER),
    "unknown_error": Rule(Retry, "login_unavailable", "could not log in just now", LATER),
} | {
    code: Rule(
        Broken,
        "app_credentials",
        "doesn't accept our app's credentials",
        "Check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET.",
    )
    for code in ("invalid_client", "invalid_client_id", "invalid_client_credentials")
}


_UNKNOWN = Rule(Broken, "unexpected_answer", "gave an answer outside its contract", _DEVELOPER)
_LOGIN_REFUSED = Rule(Broken, "login_refused", "refused the login for an unknown reason", _DEVELOPER)


def error_code(body: bytes) -> str:
    """The errorCode of a REST error body (an array), or the `error` of an OAuth one; "" when there is none."""
    found = _first_error(body)
    code = found.get("errorCode") or found.get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def fault_of(status: int, body: bytes, now: datetime, tenant: str = TENANT) -> SyncFault:
    """The error for a REST or Bulk answer. An unknown code is judged by its status."""
    code = error_code(body)
    rule = BY_CODE.get(code) or BY_STATUS.get(status)
    if rule is None:
        rule = UNAVAILABLE if status >= 500 or status == 408 else _UNKNOWN
    rule = replace(rule, sentence=rule.sentence + _named_field(code, body))
    return rule.fault(VENDOR, code or status, tenant, now)


def oauth_fault_of(status: int, body: bytes, now: datetime, tenant: str = TENANT) -> SyncFault:
    """The error for an answer of the token or revoke endpoint."""
    code = error_code(body)
    rule = OAUTH.get(code) or (UNAVAILABLE if status >= 500 or status == 429 else _LOGIN_REFUSED)
    return rule.fault(VENDOR, code or status, tenant, now)


def _named_field(code: str, body: bytes) -> str:
    if code != "INVALID_FIELD":
        return ""
    found = _COLUMN.search(str(_first_error(body).get("message")))
    return f" ({found[2]}.{found[1]})" if found else ""


def _first_error(body: bytes) -> dict[str, object]:
    answer = parsed(body)
    first = answer[0] if isinstance(answer, list) and answer else answer
    return first if isinstance(first, dict) else {}
