"""Every error of every vendor as a user meets it: the vendors' tables, put through the connectors' own judgement.

First the session decides whether an answer is transient (then its sentence is what stays when the attempts
are used up), after that the vendor's table. Both are asked here as they are asked in a sync.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.customerio import errors as customerio
from gtmc_pipelines.connectors.customerio.api import CustomerioHttp
from gtmc_pipelines.connectors.delivrai import errors as delivrai
from gtmc_pipelines.connectors.delivrai.api import DelivraiHttp
from gtmc_pipelines.connectors.error_rules import TENANT
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
_CALL, _PLACE = "<call>", "<host and path>"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
_LEAVES = (Retry, Defer, Reauthorize, Broken, Misuse)
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

    def row(self, answer: str, status: int, body: object = None, headers: dict[str, str] | None = None) -> ErrorRow:
        """The row of an answer with this status, JSON body and headers."""
        response = requests.Response()
        response.status_code, response._content = status, b"" if body is None else json.dumps(body).encode()
        response.headers.update(headers or {})
        session = object.__new__(self.session)  # judging needs no connection, no keys, no settings
        session.vendor, session.clock = _NAME_OF[self.vendor], lambda: NOW
        session._settings = ConnectorSettings(TENANT, "")
        if session.is_transient(response):
            return ErrorRow(self.vendor, answer, session._transient(response, _CALL))
        return ErrorRow(self.vendor, answer, self.judge(status, response.content))

    def by_status(self, table: Iterable[int]) -> Iterator[ErrorRow]:
        """The rows of a table of statuses, and of those that stand for all the others."""
        for status in (*table, *_NAMES):
            yield self.row(_NAMES.get(status, str(status)), status)

    def by_code(self, table: Iterable[str], body: Callable[[str], object]) -> Iterator[ErrorRow]:
        """The rows of a table of codes, each in its `body`."""
        for code in table:
            yield self.row(code, _STATUS_OF.get(code, 400), body(code))


def _salesforce() -> Iterator[ErrorRow]:
    vendor = ConnectorType.SALESFORCE
    desk = _Desk(vendor, SalesforceHttp, lambda status, body: salesforce.fault_of(status, body, NOW))
    yield from desk.by_code(salesforce.BY_CODE, lambda code: [{"errorCode": code}])
    for one in salesforce.BY_WORDING:
        name = f"{one.code} \u201c{one.example}\u201d"
        yield desk.row(name, 400, [{"errorCode": one.code, "message": one.example}])
    yield from desk.by_status(salesforce.BY_STATUS)
    login = _Desk(vendor, VendorSession, lambda status, body: salesforce.oauth_fault_of(status, body, NOW))
    for code in salesforce.OAUTH:
        yield login.row(f"login: {code}", 400, {"error": code})
    for one in salesforce.OAUTH_BY_WORDING:
        name = f"login: {one.code} \u201c{one.example}\u201d"
        yield login.row(name, 400, {"error": one.code, "error_description": one.example})
    yield login.row("login: other", 400)


def _customerio() -> Iterator[ErrorRow]:
    vendor = ConnectorType.CUSTOMERIO
    desk = _Desk(vendor, CustomerioHttp, lambda status, body: customerio.fault_of(status, body, NOW, TENANT))
    yield from desk.by_status(customerio.BY_STATUS)
    yield desk.row("429 with Retry-After", 429, headers={"Retry-After": "1"})


def _delivrai() -> Iterator[ErrorRow]:
    desk = _Desk(ConnectorType.DELIVRAI, DelivraiHttp, lambda status, body: delivrai.fault_of(status, body, _PLACE))
    for status, word in delivrai.BY_WORD:
        yield desk.row(f"{status} {word}", status, {"error": word})
    yield from desk.by_status(delivrai.BY_STATUS)


def _o365() -> Iterator[ErrorRow]:
    desk = _Desk(ConnectorType.O365, GraphHttp, lambda status, body: o365.refusal_of(status, body, TENANT).fault)
    yield from desk.by_code(o365.BY_CODE, lambda code: {"error": {"code": code}})
    yield from desk.by_status(o365.BY_STATUS)
    for key in o365.LOGIN:
        answer = {"error_codes": [int(key)]} if key.isdigit() else {"error": key}
        name = f"AADSTS{key}" if key.isdigit() else key
        yield ErrorRow(desk.vendor, f"login: {name}", o365.login_fault_of(answer, TENANT))
    yield ErrorRow(desk.vendor, "login: other", o365.login_fault_of({}, TENANT))


def _fathom() -> Iterator[ErrorRow]:
    desk = _Desk(ConnectorType.FATHOM, FathomHttp, lambda status, body: fathom.fault_of(status))
    yield from desk.by_status(fathom.BY_STATUS)
    for status in (400, 403):
        yield ErrorRow(desk.vendor, f"{status} to include flags", fathom.fault_of(status, has_includes=True))
