"""Every error of every vendor as a user meets it: the vendors' tables, put through the connectors' own judgement.

First the session decides whether an answer is transient (then its sentence is what stays when the attempts
are used up), after that the vendor's table. Both are asked here as they are asked in a sync.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.customerio import errors as customerio
from gtmc_pipelines.connectors.customerio.api import CustomerioHttp
from gtmc_pipelines.connectors.delivrai import errors as delivrai
from gtmc_pipelines.connectors.delivrai.api import DelivraiHttp
from gtmc_pipelines.connectors.fathom import errors as fathom
from gtmc_pipelines.connectors.fathom.api import FathomHttp
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.o365 import errors as o365
from gtmc_pipelines.connectors.o365.api import GraphHttp
from gtmc_pipelines.connectors.salesforce import errors as salesforce
from gtmc_pipelines.connectors.salesforce.api import SalesforceHttp
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken, Defer, Misuse, Reauthorize, Retry, SyncFault

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
_TENANT = "<tenant>"
_CALL, _PLACE = "<call>", "<host and path>"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
_LEAVES = (Retry, Defer, Reauthorize, Broken, Misuse)
_OTHERS = (418, 500)
_NAMES = {418: "other 4xx", 500: "5xx"}

# Where a code comes with another status than 400, and that status has a say.
_STATUS_OF = {
    "SERVER_UNAVAILABLE": 503,
    "ApplicationThrottled": 429,
    "TooManyRequests": 429,
    "activityLimitReached": 429,
    "SyncStateNotFound": 410,
}

_NAME_OF = {kind: kind.label for kind in ConnectorType} | {
    ConnectorType.FATHOM: "Fathom",
    ConnectorType.O365: "Microsoft Graph",
}

Judge = Callable[[int, bytes], SyncFault]


@dataclass(frozen=True)
class ErrorRow:
    """One answer of a vendor (`answer`: its status or code, as documented) and the fault it becomes."""

    vendor: ConnectorType
    answer: str
    fault: SyncFault

    @property
    def leaf(self) -> str:
        """Whose turn it is: the leaf of the error tree."""
        return next(leaf.__name__ for leaf in _LEAVES if isinstance(self.fault, leaf))

    @property
    def next_step(self) -> str:
        """What the user is told to do; a time of day is named as what it is."""
        return _MOMENT.sub("<the hour after>", self.fault.next_step)


def error_rows() -> list[ErrorRow]:
    """All of them, vendor by vendor, in the order of the vendors' own tables."""
    return [*_salesforce(), *_customerio(), *_delivrai(), *_o365(), *_fathom()]


@dataclass(frozen=True)
class _Desk:
    """One vendor's session and table: who judges an answer."""

    vendor: ConnectorType
    session: type[VendorSession]
    judge: Judge

    def row(self, answer: str, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> ErrorRow:
        """The row of an answer with this status, body and headers."""
        response = requests.Response()
        response.status_code, response._content = status, body
        response.headers.update(headers or {})
        session = object.__new__(self.session)  # judging needs no connection, no keys, no settings
        session.vendor, session.clock = _NAME_OF[self.vendor], lambda: NOW
        session._settings = ConnectorSettings(_TENANT, "")
        if session.is_transient(response):
            return ErrorRow(self.vendor, answer, session._transient(response, _CALL))
        return ErrorRow(self.vendor, answer, self.judge(status, body))


def _salesforce() -> Iterator[ErrorRow]:
    desk = _Desk(
        ConnectorType.SALESFORCE, SalesforceHttp, lambda status, body: salesforce.fault_of(status, body, NOW, _TENANT)
    )
    for code in salesforce.BY_CODE:
        yield desk.row(code, _STATUS_OF.get(code, 400), _json([{"errorCode": code}]))
    for status in (*salesforce.BY_STATUS, *_OTHERS):
        yield desk.row(_named(status), status)
    login = _Desk(
        ConnectorType.SALESFORCE,
        VendorSession,
        lambda status, body: salesforce.oauth_fault_of(status, body, NOW, _TENANT),
    )
    for code in salesforce.OAUTH:
        yield login.row(f"login: {code}", 400, _json({"error": code}))
    yield login.row("login: other", 400)


def _customerio() -> Iterator[ErrorRow]:
    desk = _Desk(
        ConnectorType.CUSTOMERIO, CustomerioHttp, lambda status, body: customerio.fault_of(status, body, NOW, _TENANT)
    )
    for status in (*customerio.BY_STATUS, *_OTHERS):
        yield desk.row(_named(status), status)
    yield desk.row("429 with Retry-After", 429, headers={"Retry-After": "1"})


def _delivrai() -> Iterator[ErrorRow]:
    desk = _Desk(
        ConnectorType.DELIVRAI, DelivraiHttp, lambda status, body: delivrai.fault_of(status, body, _PLACE, _TENANT)
    )
    for status, word in delivrai.BY_WORD:
        yield desk.row(f"{status} {word}", status, _json({"error": word}))
    for status in (*delivrai.BY_STATUS, *_OTHERS):
        yield desk.row(_named(status), status)


def _o365() -> Iterator[ErrorRow]:
    desk = _Desk(ConnectorType.O365, GraphHttp, lambda status, body: o365.refusal_of(status, body, _TENANT).fault)
    for code in o365.BY_CODE:
        yield desk.row(code, _STATUS_OF.get(code, 400), _json({"error": {"code": code}}))
    for status in (*o365.BY_STATUS, *_OTHERS):
        yield desk.row(_named(status), status)
    for key in o365.LOGIN:
        answer = {"error_codes": [int(key)]} if key.isdigit() else {"error": key}
        name = f"AADSTS{key}" if key.isdigit() else key
        yield ErrorRow(ConnectorType.O365, f"login: {name}", o365.login_fault_of(answer, _TENANT))
    yield ErrorRow(ConnectorType.O365, "login: other", o365.login_fault_of({}, _TENANT))


def _fathom() -> Iterator[ErrorRow]:
    desk = _Desk(ConnectorType.FATHOM, FathomHttp, lambda status, body: fathom.fault_of(status))
    for status in (*fathom.BY_STATUS, *_OTHERS):
        yield desk.row(_named(status), status)
    for status in (400, 403):
        yield ErrorRow(desk.vendor, f"{status} to include flags", fathom.fault_of(status, has_includes=True))


def _named(status: int) -> str:
    return _NAMES.get(status, str(status))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
