"""Office 365's errors as data: status and code to leaf of the error tree, sentence and next step.

Of the vendor's text only its code gets into our sentences, checked against a strict pattern: messages
may name people and mailboxes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gtmc_pipelines.model.errors import Broken, Reauthorize, Retry, SyncFault

_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_TENANT = "<tenant>"
_CONNECT = f"Connect it again: gtmc connectors connect --tenant {_TENANT} --connector o365."
_ADMIN = (
    "Ask an administrator to grant Mail.ReadBasic.All and User.Read.All (application permissions), then sync again; "
    "a fresh consent may take some minutes to work."
)
_APP = "Check O365_CLIENT_ID and O365_CLIENT_SECRET (the secret's value, not its id; secrets expire)."
_DEVELOPER = "Report this with the error code; a developer has to look at it."
_LATER = "It is tried again later."


class Leaf(Enum):
    """Whose turn it is."""

    RETRY = "retry"
    REAUTHORIZE = "reauthorize"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code (or a bare status) means; `code` is ours."""

    leaf: Leaf
    code: str
    sentence: str
    next_step: str


def _rule(leaf: Leaf, code: str, sentence: str, next_step: str) -> Rule:
    return Rule(leaf, code, f"Microsoft {sentence}", next_step)


_DENIED = _rule(Leaf.REAUTHORIZE, "mail_access_denied", "Graph doesn't let the app read mail metadata.", _ADMIN)
_DIRECTORY = _rule(Leaf.REAUTHORIZE, "directory_access_denied", "Graph doesn't let the app list users.", _ADMIN)
_TOKEN = _rule(Leaf.REAUTHORIZE, "token_refused", "Graph refused a fresh access token.", _CONNECT)
_BUSY = _rule(Leaf.RETRY, "vendor_throttled", "Graph asks to slow down.", _LATER)
_DOWN = _rule(Leaf.RETRY, "vendor_unavailable", "Graph could not answer just now.", _LATER)
_GONE = _rule(Leaf.BROKEN, "not_found", "Graph doesn't know what was asked for.", _DEVELOPER)
_BAD = _rule(Leaf.BROKEN, "bad_request", "Graph refused our request as malformed.", _DEVELOPER)
_UNKNOWN = _rule(Leaf.BROKEN, "unexpected_answer", "Graph gave an answer outside its contract.", _DEVELOPER)

BY_CODE: Mapping[str, Rule] = {
    "InvalidAuthenticationToken": _TOKEN,
    "ErrorAccessDenied": _DENIED,
    "AccessDenied": _DENIED,
    "Authorization_RequestDenied": _DIRECTORY,
    "Authorization_IdentityNotFound": _rule(
        Leaf.REAUTHORIZE, "app_not_in_directory", "doesn't find our app in this directory.", _CONNECT
    ),
    "ErrorItemNotFound": _GONE,
    "ResourceNotFound": _GONE,
    "Request_ResourceNotFound": _GONE,
    "ErrorFolderNotFound": _rule(
        Leaf.BROKEN, "folder_not_found", "Graph doesn't know a mail folder we asked for.", "Correct the option folders."
    ),
    "BadRequest": _BAD,
    "ErrorInvalidIdMalformed": _BAD,
    "InefficientFilter": _BAD,
    "ErrorInvalidRequest": _BAD,
    "ApplicationThrottled": _BUSY,
    "TooManyRequests": _BUSY,
    "activityLimitReached": _BUSY,
    "SyncStateNotFound": _rule(Leaf.RETRY, "sync_state_lost", "Graph lost the state of a mailbox again.", _LATER),
}
"""By `error.code` of Graph, letters' case as documented."""

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
    "7000215": _rule(Leaf.REAUTHORIZE, "app_credentials", "doesn't accept our app's secret.", _APP),
    "7000222": _rule(Leaf.REAUTHORIZE, "app_credentials", "says our app's secret has expired.", _APP),
    "700016": _rule(Leaf.REAUTHORIZE, "consent_missing", "doesn't find our app in this directory.", _CONNECT),
    "65001": _rule(Leaf.REAUTHORIZE, "consent_missing", "says no administrator has consented.", _CONNECT),
    "90002": _rule(Leaf.REAUTHORIZE, "directory_unknown", "doesn't know this directory.", _CONNECT),
    "900023": _rule(Leaf.REAUTHORIZE, "directory_unknown", "doesn't know this directory.", _CONNECT),
    "70011": _rule(Leaf.BROKEN, "invalid_scope", "refused the scope of our request.", _DEVELOPER),
    "invalid_client": _rule(Leaf.REAUTHORIZE, "app_credentials", "doesn't accept our app's credentials.", _APP),
    "unauthorized_client": _rule(Leaf.REAUTHORIZE, "consent_missing", "doesn't allow our app here.", _CONNECT),
    "invalid_tenant": _rule(Leaf.REAUTHORIZE, "directory_unknown", "doesn't know this directory.", _CONNECT),
    "invalid_scope": _rule(Leaf.BROKEN, "invalid_scope", "refused the scope of our request.", _DEVELOPER),
    "invalid_request": _rule(Leaf.BROKEN, "invalid_request", "refused the login as malformed.", _DEVELOPER),
    "temporarily_unavailable": _rule(Leaf.RETRY, "login_unavailable", "could not log in just now.", _LATER),
}
"""Token errors: by AADSTS number first (where there is one), then by `error`."""

_LOGIN_REFUSED = _rule(Leaf.BROKEN, "login_refused", "refused the login for an unknown reason.", _DEVELOPER)

NO_MAILBOX = frozenset(
    {
        "MailboxNotEnabledForRESTAPI",
        "MailboxNotSupportedForRESTAPI",
        "ErrorNonExistentMailbox",
        "Request_ResourceNotFound",
        "ResourceNotFound",
        "ErrorMailboxMoveInProgress",
    }
)
"""Codes of a user without a mailbox that can be read: skipped, not failed."""

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

    @property
    def is_without_mailbox(self) -> bool:
        """Whether the user has no mailbox to read."""
        return self.status == 404 and self.code in NO_MAILBOX


def error_code(body: bytes) -> str:
    """`error.code` of a Graph answer, "" when there is none."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return ""
    error = parsed.get("error") if isinstance(parsed, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def refusal_of(status: int, body: bytes, tenant: str) -> GraphRefusal:
    """What a Graph answer means; an unknown code is judged by its status."""
    code = error_code(body)
    rule = BY_CODE.get(code) or BY_STATUS.get(status) or (_DOWN if status >= 500 else _UNKNOWN)
    return GraphRefusal(status, code, _fault(rule, code or str(status), tenant))


def login_fault_of(answer: Mapping[str, Any], tenant: str) -> SyncFault:
    """The error for a token answer without a token."""
    numbers = answer.get("error_codes")
    found = [str(number) for number in numbers] if isinstance(numbers, list) else []
    name = str(answer.get("error") or "")
    rule = next((LOGIN[key] for key in (*found, name) if key in LOGIN), _LOGIN_REFUSED)
    mark = f"AADSTS{found[0]}" if found and found[0].isdigit() else name
    return _fault(rule, mark if _CODE.fullmatch(mark) else "unknown", tenant)


def _fault(rule: Rule, mark: str, tenant: str) -> SyncFault:
    kinds: dict[Leaf, Callable[..., SyncFault]] = {
        Leaf.RETRY: Retry,
        Leaf.REAUTHORIZE: Reauthorize,
        Leaf.BROKEN: Broken,
    }
    sentence = f"{rule.sentence[:-1]} ({mark})."
    return kinds[rule.leaf](rule.code, sentence, next_step=rule.next_step.replace(_TENANT, tenant))
