"""Salesforce's errors as data: errorCode, wording or status to leaf of the error tree, sentence and next step.

Gathered from the vendor's lists: REST API "Status Codes and Error Responses", SOAP API "ExceptionCode", Bulk API 2.0
"Errors" and "OAuth 2.0 Authorization Errors". What an administrator can mend has a step of its own. `errors.py` judges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gtmc_pipelines.connectors.error_rules import LATER, TENANT, Rule
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry

CONNECT_AGAIN = f"Connect Salesforce again: gtmc connectors connect --tenant {TENANT} --connector salesforce."
DEVELOPER = "Report this with the error code; a developer has to look at it."
_ADMIN = "Ask an administrator of the Salesforce org to correct this, then sync again."
_SEE_ALL = "Give the connecting user read access to the object and its fields, or *View All Data*, then sync again."
_VIEW_ALL = "Give the connecting user *View All Data* (profile or permission set), then sync again."
_API_ENABLED = "Give the connecting user *API Enabled* (profile or permission set), then sync again."
_EDITION = (
    "Have Salesforce enable the API for this org (Professional Edition needs the add-on) and give the connecting user "
    "*API Enabled*, then sync again."
)
_FEWER_FIELDS = "Hide fields that aren't needed from the connecting user (field-level security), then sync again."
_NOT_THERE = (
    "Let an administrator show the object to the connecting user; `gtmc connectors verify` tells whether this org "
    "offers the API version."
)
_VERSION = "Set SALESFORCE_API_VERSION to one that `gtmc connectors verify` names."
_ADDRESS = (
    "Put the fixed addresses of all workers on the app's Refresh Token IP Allowlist (External Client App Manager, Edit "
    "Settings) and into the login IP ranges of the user's profile, and look at its login hours. The connection stays."
)
_NEW_PASSWORD = f"Let the user set a new password in Salesforce or an administrator unlock it. {CONNECT_AGAIN}"
_ACTIVATE = f"Let an administrator activate (or unfreeze) the user, or connect as another one. {CONNECT_AGAIN}"
_APPROVE = (
    "Let an administrator add the user to the app's permitted users (External Client App Manager, Policies), or allow "
    f"all users to authorize themselves. {CONNECT_AGAIN}"
)
_MOVED = (
    "Set the option login_url (or SALESFORCE_LOGIN_URL) to the org's present My Domain or "
    f"https://login.salesforce.com. {CONNECT_AGAIN}"
)
_FIVE = (
    f"{CONNECT_AGAIN} Salesforce keeps five logins of one user with one app: a sixth, of another tenant or a second "
    "installation, ends the oldest. One that isn't used for 30 days may end too."
)

_QUERY = "refused our query"
_TOO_LONG = "finds our request longer than 16,384 bytes"
_ADDRESS_REFUSED = "refuses logins from this worker's address or at this hour"

INSTALL_THE_APP = (
    "If Salesforce showed an error page of its own, it never calls back. For OAUTH_APPROVAL_ERROR_GENERIC (`app must "
    "be installed into org`) have an administrator of that org install the app (Setup, Connected Apps OAuth Usage, "
    "Install), or give the user *Approve Uninstalled Connected Apps* (with API Access Control: *Use Any API Client*). "
    "For `redirect_uri_mismatch` register the URL of SALESFORCE_CALLBACK_URL, letter by letter."
)


@dataclass(frozen=True, slots=True)
class Wording:
    """A rule for a code that means several things: it is for answers whose message has these words.

    `example` is such a message, for the documentation.
    """

    code: str
    words: re.Pattern[str]
    example: str
    rule: Rule


def _wording(code: str, words: str, example: str, rule: Rule) -> Wording:
    return Wording(code, re.compile(words, re.IGNORECASE), example, rule)


BY_WORDING: tuple[Wording, ...] = (
    _wording(
        "REQUEST_LIMIT_EXCEEDED",
        "concurrent",
        "ConcurrentRequests Limit exceeded.",
        Rule(Retry, "too_many_at_once", "has as many long calls of this org at work as it takes at once", LATER),
    ),
    _wording(
        "INVALID_SESSION_ID",
        "not valid for use with",
        "This session is not valid for use with the REST API",
        Rule(
            Reauthorize,
            "session_not_for_api",
            "doesn't let this session use the API",
            "Set IP Relaxation to *Relax IP restrictions* in the app's policies (or list the workers' addresses) and "
            f"allow the scope `api`. {CONNECT_AGAIN}",
        ),
    ),
    _wording(
        "API_CURRENTLY_DISABLED",
        "user",
        "API is disabled for this User",
        Rule(Reauthorize, "api_disabled", "doesn't let this user use the API", _API_ENABLED),
    ),
    _wording(
        "API_ERROR",
        "does not support|not supported",
        "API does not support query",
        Rule(Broken, "bulk_unsupported", "doesn't serve this query by Bulk API", DEVELOPER),
    ),
)

BY_CODE: Mapping[str, Rule] = {
    "MALFORMED_QUERY": Rule(Broken, "malformed_query", f"{_QUERY} as malformed", DEVELOPER),
    "INVALID_FIELD": Rule(Broken, "invalid_field", f"{_QUERY}: a field isn't there any more", "Sync again."),
    "INVALID_TYPE": Rule(Broken, "invalid_type", f"{_QUERY}: the object isn't there or is hidden", _SEE_ALL),
    "INVALID_QUERY_LOCATOR": Rule(Retry, "query_locator_expired", "has dropped the query's cursor", LATER),
    "QUERY_TIMEOUT": Rule(Retry, "query_timeout", "took too long over our query", LATER),
    "REQUEST_RUNNING_TOO_LONG": Rule(Retry, "query_timeout", "took too long over our query", LATER),
    "QUERY_TOO_COMPLICATED": Rule(
        Broken, "query_too_complicated", f"{_QUERY}: it has too many formula fields at once", _FEWER_FIELDS
    ),
    "OPERATION_TOO_LARGE": Rule(
        Broken, "operation_too_large", f"{_QUERY}: this user's sharing takes too many records to look at", _VIEW_ALL
    ),
    "EXCEEDED_ID_LIMIT": Rule(Broken, "too_many_ids", "was asked for too many ids at once", DEVELOPER),
    "INVALID_REPLICATION_DATE": Rule(
        Broken, "too_far_back", "doesn't tell what was deleted so long ago", "Run a full sync: gtmc sync --full."
    ),
    "TXN_SECURITY_METERING_ERROR": Rule(Retry, "security_metering", "was busy metering the query", LATER),
    "TXN_SECURITY_NO_ACCESS": Rule(
        Reauthorize,
        "security_policy",
        "stopped the query by a security policy of the org",
        "Let an administrator exempt the connecting user (Setup, Transaction Security Policies), then sync again.",
    ),
    "INVALID_SESSION_ID": Rule(Reauthorize, "session_refused", "refused a fresh session", CONNECT_AGAIN),
    "INVALIDSESSIONID": Rule(Reauthorize, "session_refused", "refused a fresh session", CONNECT_AGAIN),
    "INVALID_AUTH_HEADER": Rule(Reauthorize, "session_refused", "refused the session", CONNECT_AGAIN),
    "REQUEST_LIMIT_EXCEEDED": Rule(Defer, "api_quota", "has no API calls left for the last 24 hours"),
    "EXCEEDEDQUOTA": Rule(Defer, "bulk_quota", "has no Bulk API jobs left for the last 24 hours"),
    "LIMIT_EXCEEDED": Rule(Defer, "api_quota", "reports a limit of the org as used up"),
    "API_DISABLED_FOR_ORG": Rule(Reauthorize, "api_disabled", "doesn't allow this org the API", _EDITION),
    "API_CURRENTLY_DISABLED": Rule(Reauthorize, "api_disabled", "has the API switched off", _EDITION),
    "INSUFFICIENT_ACCESS": Rule(Reauthorize, "insufficient_access", "says this user may not do this", _SEE_ALL),
    "INSUFFICIENT_ACCESS_OR_READONLY": Rule(
        Reauthorize, "insufficient_access", "says this user may not do this", _SEE_ALL
    ),
    "INACTIVE_OWNER_OR_USER": Rule(Reauthorize, "inactive_user", "says the connecting user is inactive", _ACTIVATE),
    "CLIENT_NOT_ACCESSIBLE_FOR_USER": Rule(
        Reauthorize, "user_not_approved", "doesn't let this user use the app", _APPROVE
    ),
    "INVALID_LOGIN": Rule(Reauthorize, "login_refused", "refused the connecting user's login", _NEW_PASSWORD),
    "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": Rule(
        Reauthorize, "password_expired", "says the connecting user's password has expired", _NEW_PASSWORD
    ),
    "PASSWORD_LOCKOUT": Rule(Reauthorize, "user_locked", "has locked the connecting user out", _NEW_PASSWORD),
    "LOGIN_MUST_USE_SECURITY_TOKEN": Rule(Broken, "login_address", _ADDRESS_REFUSED, _ADDRESS),
    "LOGIN_DURING_RESTRICTED_DOMAIN": Rule(Broken, "login_address", _ADDRESS_REFUSED, _ADDRESS),
    "LOGIN_DURING_RESTRICTED_TIME": Rule(Broken, "login_address", _ADDRESS_REFUSED, _ADDRESS),
    "TRIAL_EXPIRED": Rule(Reauthorize, "inactive_org", "says the org's trial has expired", _ADMIN),
    "ORG_LOCKED": Rule(Reauthorize, "inactive_org", "has locked the org", "Ask Salesforce to unlock it, then sync."),
    "ORG_NOT_OWNED_BY_INSTANCE": Rule(Broken, "org_moved", "serves this org from another host now", _MOVED),
    "ORG_IN_MAINTENANCE": Rule(Retry, "vendor_unavailable", "is maintaining the org", LATER),
    "INVALIDENTITY": Rule(Broken, "bulk_unsupported", "doesn't serve this object by Bulk API", DEVELOPER),
    "INVALIDUSER": Rule(Broken, "bulk_unsupported", "doesn't let this user have Bulk jobs", _API_ENABLED),
    "INVALIDJOB": Rule(Broken, "not_found", "doesn't know the Bulk job any more", "Sync again."),
    "FEATURENOTENABLED": Rule(Broken, "bulk_unsupported", "has the Bulk API not enabled", _ADMIN),
    "FUNCTIONALITY_NOT_ENABLED": Rule(
        Broken, "not_enabled", "has a function switched off that our request needs", _ADMIN
    ),
    "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE": Rule(
        Retry, "vendor_unavailable", "has a function switched off just now", LATER
    ),
    "NOT_FOUND": Rule(Broken, "not_found", "doesn't know what was asked for, or hides it", _NOT_THERE),
    "UNSUPPORTED_API_VERSION": Rule(Broken, "api_version", "doesn't serve this API version", _VERSION),
    "INVALIDVERSION": Rule(Broken, "api_version", "doesn't serve this API version", _VERSION),
    "EXCEEDED_MAX_SIZE_REQUEST": Rule(Broken, "request_too_long", "finds our request too large", _FEWER_FIELDS),
    "SERVER_UNAVAILABLE": Rule(Retry, "vendor_unavailable", "is not available", LATER),
    "UNABLE_TO_LOCK_ROW": Rule(Retry, "vendor_busy", "is busy with these records", LATER),
    "TOOMANYLOCKFAILURE": Rule(Retry, "vendor_busy", "is busy with these records", LATER),
}

BY_STATUS: Mapping[int, Rule] = {
    300: Rule(Broken, "several_records", "found several records for one id", DEVELOPER),
    401: Rule(Reauthorize, "session_refused", "refused the session", CONNECT_AGAIN),
    403: Rule(Reauthorize, "forbidden", "refused the request", _SEE_ALL),
    404: Rule(Broken, "not_found", "doesn't know what was asked for, or hides it", _NOT_THERE),
    406: Rule(Retry, "vendor_unavailable", "could not answer just now", LATER),
    409: Rule(Broken, "version_mismatch", "has these results under another API version", _VERSION),
    410: Rule(Broken, "api_version", "has retired this API version", _VERSION),
    414: Rule(Broken, "request_too_long", _TOO_LONG, _FEWER_FIELDS),
    420: Rule(Retry, "vendor_throttled", "asks to slow down", LATER),
    429: Rule(Retry, "vendor_throttled", "asks to slow down", LATER),
    431: Rule(Broken, "request_too_long", _TOO_LONG, _FEWER_FIELDS),
}

OAUTH_BY_WORDING: tuple[Wording, ...] = tuple(
    _wording("invalid_grant", words, example, rule)
    for words, example, rule in (
        (
            r"\bips?\b|login hours|allow.?list",
            "ip restricted",
            Rule(Broken, "login_address", _ADDRESS_REFUSED, _ADDRESS),
        ),
        (
            "inactive.user|user (is|was) (inactive|frozen)|frozen user",
            "inactive user",
            Rule(Reauthorize, "inactive_user", "says the connecting user is inactive", _ACTIVATE),
        ),
        (
            "approved",
            "user is not admin approved to access this app",
            Rule(Reauthorize, "user_not_approved", "doesn't let this user use the app", _APPROVE),
        ),
        (
            "password|locked|lockout",
            "password expired",
            Rule(Reauthorize, "password_expired", "wants the user to set a new password first", _NEW_PASSWORD),
        ),
        (
            "authorization code|verifier",
            "expired authorization code",
            Rule(Reauthorize, "grant_revoked", "doesn't accept the code of this login", CONNECT_AGAIN),
        ),
    )
)

OAUTH: Mapping[str, Rule] = {
    "invalid_grant": Rule(Reauthorize, "grant_revoked", "has revoked or expired the connection", _FIVE),
    "inactive_user": Rule(Reauthorize, "inactive_user", "says the connecting user is inactive", _ACTIVATE),
    "inactive_org": Rule(Reauthorize, "inactive_org", "says the org is inactive", _ADMIN),
    "access_denied": Rule(Reauthorize, "access_denied", "says the user denied access", CONNECT_AGAIN),
    "invalid_app_access": Rule(Reauthorize, "user_not_approved", "doesn't let this user use the app", _APPROVE),
    "unauthorized_client": Rule(
        Broken,
        "app_settings",
        "doesn't allow the app this flow",
        "Enable the authorization code flow and `refresh_token` in the app's OAuth settings.",
    ),
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
    "unsupported_grant_type": Rule(Broken, "unsupported_grant_type", "doesn't support this kind of grant", DEVELOPER),
    "invalid_request": Rule(Broken, "invalid_request", "refused the login as malformed", DEVELOPER),
    "rate_limit_exceeded": Rule(Retry, "login_throttled", "asks to log in less often", LATER),
    "login_rate_exceeded": Rule(Retry, "login_throttled", "asks to log in less often", LATER),
    "server_error": Rule(Retry, "login_unavailable", "could not log in just now", LATER),
    "temporarily_unavailable": Rule(Retry, "login_unavailable", "could not log in just now", LATER),
    "unknown_error": Rule(Retry, "login_unavailable", "could not log in just now", LATER),
} | {
    code: Rule(
        Broken,
        "app_credentials",
        "doesn't accept our app's credentials",
        "Check SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET; a new app works after about ten minutes.",
    )
    for code in ("invalid_client", "invalid_client_id", "invalid_client_credentials")
}

UNKNOWN = Rule(Broken, "unexpected_answer", "gave an answer outside its contract", DEVELOPER)
LOGIN_REFUSED = Rule(Broken, "login_refused", "refused the login for an unknown reason", DEVELOPER)
ORG_MOVED = Rule(Broken, "org_moved", "serves this org from another host now, and a fresh login names none", _MOVED)
LOGIN_MOVED = Rule(Broken, "login_moved", "has moved the login host that is set", _MOVED)
