"""Office 365's errors as data: status and code to leaf of the error tree, sentence and next step.

Of the vendor's text only its code gets into our sentences, checked against a strict pattern: messages
may name people and mailboxes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.connectors.error_rules import LATER, TENANT, Rule, parsed
from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault, Unserved

_VENDOR = "Microsoft"
_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_CONNECT = f"Connect it again: gtmc connectors connect --tenant {TENANT} --connector o365."
_MAIL = (
    "Ask an administrator to consent to Mail.ReadBasic.All (an application permission), or, where the app is scoped in "
    "Exchange, to give it the role Application Mail.ReadBasic; then sync again. A fresh consent may take some minutes "
    "to work, a role two hours."
)
_USERS = (
    "Ask an administrator to consent to User.Read.All (an application permission), then sync again; a fresh consent "
    "may take some minutes to work."
)
_APP = "Check O365_CLIENT_ID and O365_CLIENT_SECRET (the secret's value, not its id; secrets expire)."
_DEVELOPER = "Report this with the error code; a developer has to look at it."


_DENIED = Rule(Reauthorize, "mail_access_denied", "Graph doesn't let the app read mail metadata", _MAIL)
_DIRECTORY = Rule(Reauthorize, "directory_access_denied", "Graph doesn't let the app list users", _USERS)
_TOKEN = Rule(Reauthorize, "token_refused", "Graph refused a fresh access token", _CONNECT)
_NO_EXCHANGE = Rule(
    Reauthorize,
    "no_exchange_online",
    "says that this directory has no Exchange Online",
    "An administrator assigns Exchange Online licences; or connect the directory that has the mailboxes: "
    f"gtmc connectors connect --tenant {TENANT} --connector o365.",
)
_BLOCKED = (
    "An administrator lets the app in: Entra admin center, Enterprise applications (is it enabled?), and Conditional "
    "Access for workload identities (are the workers' addresses allowed?)."
)
_BUSY = Rule(Retry, "vendor_throttled", "Graph asks to slow down", LATER)
_DOWN = Rule(Retry, "vendor_unavailable", "Graph could not answer just now", LATER)
_GONE = Rule(Broken, "not_found", "Graph doesn't know what was asked for", _DEVELOPER)
_BAD = Rule(Broken, "bad_request", "Graph refused our request as malformed", _DEVELOPER)
_UNKNOWN = Rule(Broken, "unexpected_answer", "Graph gave an answer outside its contract", _DEVELOPER)

BY_CODE: Mapping[str, Rule] = {
    "InvalidAuthenticationToken": _TOKEN,
    "ErrorAccessDenied": _DENIED,
    "AccessDenied": _DENIED,
    "Authorization_RequestDenied": _DIRECTORY,
    "Authorization_IdentityNotFound": Rule(
        Reauthorize, "app_not_in_directory", "doesn't find our app in this directory", _CONNECT
    ),
    "OrganizationFromTenantGuidNotFound": _NO_EXCHANGE,
    "ErrorItemNotFound": _GONE,
    "ResourceNotFound": _GONE,
    "Request_ResourceNotFound": _GONE,
    "ErrorFolderNotFound": Rule(
        Broken, "folder_not_found", "Graph doesn't know a mail folder we asked for", "Correct the option folders."
    ),
    "BadRequest": _BAD,
    "ErrorInvalidIdMalformed": _BAD,
    "InefficientFilter": _BAD,
    "ErrorInvalidRequest": _BAD,
    "ApplicationThrottled": _BUSY,
    "TooManyRequests": _BUSY,
    "activityLimitReached": _BUSY,
    "SyncStateNotFound": Rule(Retry, "sync_state_lost", "Graph lost the state of a mailbox again", LATER),
}
"""By `error.code` of Graph, letters' case as documented ("Microsoft Graph error responses", "Resolve Outlook errors").

`OrganizationFromTenantGuidNotFound` is no page of Microsoft's: it is what directories without Exchange Online answer
(MicrosoftDocs/azure-docs issue 32957, O365/python-o365 issue 859).
"""

BY_STATUS: Mapping[int, Rule] = {
    400: _BAD,
    401: _TOKEN,
    403: _DENIED,
    404: _GONE,
    410: BY_CODE["SyncStateNotFound"],
    429: _BUSY,
    503: _DOWN,
    504: _DOWN,
}

LOGIN: Mapping[str, Rule] = {
    "7000215": Rule(Reauthorize, "app_credentials", "doesn't accept our app's secret", _APP),
    "7000222": Rule(Reauthorize, "app_credentials", "says our app's secret has expired", _APP),
    "700016": Rule(Reauthorize, "consent_missing", "doesn't find our app in this directory", _CONNECT),
    "7000112": Rule(Reauthorize, "app_disabled", "says our app is disabled", _BLOCKED),
    "7000229": Rule(Reauthorize, "consent_missing", "finds no service principal of our app here", _CONNECT),
    "53003": Rule(Reauthorize, "access_blocked", "is told by Conditional Access to keep the app out", _BLOCKED),
    "530035": Rule(Reauthorize, "access_blocked", "is told by security defaults to keep the app out", _BLOCKED),
    "50105": Rule(Reauthorize, "access_blocked", "wants the app to be assigned first", _BLOCKED),
    "500011": Rule(Reauthorize, "consent_missing", "finds no Microsoft Graph in this directory", _CONNECT),
    "50059": Rule(Reauthorize, "directory_unknown", "doesn't know this directory", _CONNECT),
    "65001": Rule(Reauthorize, "consent_missing", "says no administrator has consented", _CONNECT),
    "90002": Rule(Reauthorize, "directory_unknown", "doesn't know this directory", _CONNECT),
    "900023": Rule(Reauthorize, "directory_unknown", "doesn't know this directory", _CONNECT),
    "70011": Rule(Broken, "invalid_scope", "refused the scope of our request", _DEVELOPER),
    "invalid_client": Rule(Reauthorize, "app_credentials", "doesn't accept our app's credentials", _APP),
    "unauthorized_client": Rule(Reauthorize, "consent_missing", "doesn't allow our app here", _CONNECT),
    "invalid_tenant": Rule(Reauthorize, "directory_unknown", "doesn't know this directory", _CONNECT),
    "invalid_scope": Rule(Broken, "invalid_scope", "refused the scope of our request", _DEVELOPER),
    "invalid_request": Rule(Broken, "invalid_request", "refused the login as malformed", _DEVELOPER),
    "temporarily_unavailable": Rule(Retry, "login_unavailable", "could not log in just now", LATER),
}
"""Token errors: by AADSTS number first (where there is one), then by `error`.

Numbers as in "Microsoft Entra authentication and authorization error codes" (identity-platform/reference-error-codes);
7000229 isn't listed there, and comes with `invalid_client` although the secret is right.
"""

_LOGIN_REFUSED = Rule(Broken, "login_refused", "refused the login for an unknown reason", _DEVELOPER)

_NO_MAILBOX = Rule(
    Unserved,
    "no_mailbox",
    "Graph has no mailbox to read for this user",
    "Nothing is wrong, unless the user should have one: then an administrator gives it an Exchange Online licence.",
)
_ELSEWHERE = Rule(
    Unserved,
    "mailbox_elsewhere",
    "Graph says that this user's mailbox is not in Exchange Online",
    "Only mailboxes in Exchange Online can be read; move it there, or leave it out.",
)
_LOCKED = Rule(
    Unserved,
    "mailbox_locked",
    "Graph says that this mailbox is locked",
    "An administrator unlocks it in the Exchange admin center; the next sync reads it then.",
)
_MOVING = Rule(
    Unserved, "mailbox_moving", "Graph says that this mailbox is being moved", "The next sync after the move reads it."
)

UNSERVED: Mapping[str, Rule] = {
    "MailboxNotEnabledForRESTAPI": _NO_MAILBOX,
    "MailboxNotSupportedForRESTAPI": _NO_MAILBOX,
    "ErrorNonExistentMailbox": _NO_MAILBOX,
    "ErrorInvalidUser": _NO_MAILBOX,
    "ErrorInvalidMailbox": _NO_MAILBOX,
    "ErrorMissingEmailAddress": _NO_MAILBOX,
    "ErrorInvalidSmtpAddress": _NO_MAILBOX,
    "ErrorInvalidLicense": _NO_MAILBOX,
    "Request_ResourceNotFound": _NO_MAILBOX,
    "ResourceNotFound": _NO_MAILBOX,
    "MailboxNotHostedInExchangeOnline": _ELSEWHERE,
    "ErrorMailboxLocked": _LOCKED,
    "ErrorAccountDisabled": _LOCKED,
    "ErrorMailboxMoveInProgress": _MOVING,
}
"""What a mailbox's calls answer when there is nothing to read there: left out, and the others are read.

`Mailbox…` and `…ResourceNotFound` are Graph's own, `Error…` are Exchange's, which Graph hands on ("ResponseCode" of
Exchange Web Services). A 404 with any other code at a mailbox's first call counts as `no_mailbox` as well.
"""

OUT_OF_SCOPE = Rule(
    Unserved,
    "out_of_scope",
    "Graph doesn't let the app read this mailbox",
    "It is outside the scope of the app's role in Exchange; to have it read, an administrator widens the scope.",
)
"""A single mailbox that answers 403 while others may be read."""

STATE_LOST = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired"})
"""Codes, in lower case, that make a stored delta or skip token worthless."""


class GraphRefusal(Exception):
    """An answer of Graph that isn't 2xx, still to be judged: `status`, `code`, and the fault it is by default."""

    def __init__(self, status: int, code: str, fault: SyncFault) -> None:
        super().__init__(status, code)
        self.status, self.code, self.fault = status, code, fault

    @property
    def is_state_lost(self) -> bool:
        """Whether a token is worthless from now on."""
        return self.status == 410 or self.code.lower() in STATE_LOST

    def at_mailbox(self, tenant: str, *, is_first: bool) -> SyncFault:
        """What it means at a mailbox's own calls; whatever Graph doesn't find at the first one is no mailbox."""
        mark = self.code or self.status
        if self.status == 403 and self.fault.code == _DENIED.code and self.code not in UNSERVED:
            refused = OUT_OF_SCOPE.fault(_VENDOR, mark, tenant)
            return Unserved(refused.code, refused.sentence, next_step=refused.next_step, when_all=self.fault)
        rule = UNSERVED.get(self.code) if 400 <= self.status < 500 else None
        if rule is None and self.status == 404 and is_first and not isinstance(self.fault, Reauthorize):
            rule = _NO_MAILBOX
        return self.fault if rule is None else rule.fault(_VENDOR, mark, tenant)


def no_folder() -> Unserved:
    """The end of a mailbox that has none of the folders that are read."""
    return Unserved(
        "no_folder",
        "This mailbox has none of the mail folders that are read.",
        next_step="Correct the option folders, if other mailboxes lack them too.",
    )


def error_code(body: bytes) -> str:
    """`error.code` of a Graph answer, "" when there is none."""
    answer = parsed(body)
    error = answer.get("error") if isinstance(answer, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def refusal_of(status: int, body: bytes, tenant: str) -> GraphRefusal:
    """What a Graph answer means; an unknown code is judged by its status."""
    code = error_code(body)
    rule = BY_CODE.get(code) or BY_STATUS.get(status) or (_DOWN if status >= 500 else _UNKNOWN)
    return GraphRefusal(status, code, rule.fault(_VENDOR, code or status, tenant))


def login_fault_of(answer: Mapping[str, Any], tenant: str) -> SyncFault:
    """The error for a token answer without a token."""
    numbers = answer.get("error_codes")
    found = [str(number) for number in numbers] if isinstance(numbers, list) else []
    name = str(answer.get("error") or "")
    rule = next((LOGIN[key] for key in (*found, name) if key in LOGIN), _LOGIN_REFUSED)
    mark = f"AADSTS{found[0]}" if found and found[0].isdigit() else name
    return rule.fault(_VENDOR, mark if _CODE.fullmatch(mark) else "unknown", tenant)
