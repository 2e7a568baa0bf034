"""What an answer of Salesforce means: the tables of `error_table.py`, asked by wording, code and status in that order.

Of the vendor's text only the errorCode and, for INVALID_FIELD, the column and entity names get into our
sentences, each checked against a strict pattern: the text itself may hold data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from gtmc_pipelines.connectors.error_rules import TENANT, UNAVAILABLE, Rule, parsed
from gtmc_pipelines.connectors.salesforce.error_table import (
    BY_CODE,
    BY_STATUS,
    BY_WORDING,
    LOGIN_REFUSED,
    OAUTH,
    OAUTH_BY_WORDING,
    UNKNOWN,
    Wording,
)
from gtmc_pipelines.model.errors import SyncFault

VENDOR = "Salesforce"
_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_COLUMN = re.compile(r"No such column '([A-Za-z][A-Za-z0-9_.]{0,79})' on entity '([A-Za-z][A-Za-z0-9_]{0,79})'")


def error_code(body: bytes) -> str:
    """The errorCode of a REST error body (an array), or the `error` of an OAuth one; "" when there is none.

    Bulk API spells its codes now as `InvalidJob`, now as `INVALIDJOB`; the tables have the latter.
    """
    found = _first_error(body)
    code = found.get("errorCode") or found.get("error")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def fault_of(status: int, body: bytes, now: datetime, tenant: str = TENANT) -> SyncFault:
    """The error for a REST or Bulk answer. An unknown code is judged by its status."""
    code = error_code(body)
    rule = _worded(BY_WORDING, code, body) or BY_CODE.get(code) or BY_CODE.get(code.upper()) or BY_STATUS.get(status)
    if rule is None:
        rule = UNAVAILABLE if status >= 500 or status == 408 else UNKNOWN
    rule = replace(rule, sentence=rule.sentence + _named_field(code, body))
    return rule.fault(VENDOR, code or status, tenant, now)


def oauth_fault_of(status: int, body: bytes, now: datetime, tenant: str = TENANT) -> SyncFault:
    """The error for an answer of the token or revoke endpoint."""
    code = error_code(body)
    rule = _worded(OAUTH_BY_WORDING, code, body) or OAUTH.get(code)
    if rule is None:
        rule = UNAVAILABLE if status >= 500 or status == 429 else LOGIN_REFUSED
    return rule.fault(VENDOR, code or status, tenant, now)


def _worded(table: Iterable[Wording], code: str, body: bytes) -> Rule | None:
    """The rule for a code whose meaning only the vendor's words tell; they go no further than here."""
    found = _first_error(body)
    said = found.get("message") or found.get("error_description")
    text = said if isinstance(said, str) else ""
    return next((one.rule for one in table if one.code == code and one.words.search(text)), None)


def _named_field(code: str, body: bytes) -> str:
    if code != "INVALID_FIELD":
        return ""
    found = _COLUMN.search(str(_first_error(body).get("message")))
    return f" ({found[2]}.{found[1]})" if found else ""


def _first_error(body: bytes) -> dict[str, object]:
    answer = parsed(body)
    first = answer[0] if isinstance(answer, list) and answer else answer
    return first if isinstance(first, dict) else {}
