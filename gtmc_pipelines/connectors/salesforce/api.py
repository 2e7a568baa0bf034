"""Calls to Salesforce, through simple-salesforce over our own HTTP session.

The session adds the bearer token, renews it once on a 401 and replays once, turns every refusal into
the error tree before simple-salesforce sees it, and reads the API usage off each answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.bulk2 import Operation
from simple_salesforce.util import call_salesforce

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials, CredentialSource
from gtmc_pipelines.connectors.conversation import Conversation
from gtmc_pipelines.connectors.error_rules import outside_contract
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.json_pages import has_too_many_values
from gtmc_pipelines.connectors.retry import is_maintenance_page
from gtmc_pipelines.connectors.salesforce import auth
from gtmc_pipelines.connectors.salesforce.composite import MOST_URI_BYTES, composite_of, unfold
from gtmc_pipelines.connectors.salesforce.error_table import ORG_MOVED
from gtmc_pipelines.connectors.salesforce.errors import VENDOR, error_code, fault_of
from gtmc_pipelines.connectors.vendor_numbers import count_of
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.unreadable import ON_BAD_BYTES, unmarked
from gtmc_pipelines.vault.secret import Secret

DEFAULT_API_VERSION = "66.0"
_API_VERSION = re.compile(r"[0-9]{2,3}\.0")
_OFFERED_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]")
_USAGE = re.compile(r"(?<![\w-])api-usage=([0-9]+)/([0-9]+)")  # searched: the header has three variants by now
_JOB_ID = re.compile(r"[A-Za-z0-9]{15,18}")
_UNSTAMPED = frozenset({"LastActivityDate", "LastViewedDate", "LastReferencedDate"}) | frozenset(
    {"HasOpenActivity", "HasOverdueTask"}
)
_TRANSIENT_CODES = frozenset({"TXN_SECURITY_METERING_ERROR", "UNABLE_TO_LOCK_ROW"})


class SalesforceHttp(VendorSession):
    """The HTTP session of one connected org."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        super().__init__(VENDOR, settings, clock=clock, sleep=sleep)
        self._credentials = credentials
        current = credentials.read()
        self._token = current.get("access_token") or self._renewed(Secret(""))
        self.instance_url = auth.instance_of(settings, credentials.read())
        self._first_netloc, self._has_asked_where = self._serve_instance(), False

    def is_transient(self, response: requests.Response) -> bool:
        """Besides the usual: 406 at the edge, a maintenance page, and two errorCodes that say "busy"."""
        status = response.status_code
        if is_maintenance_page(response):
            return True
        if status in {400, 406}:
            return status == 406 or error_code(response.content) in _TRANSIENT_CODES
        return super().is_transient(response)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with the current token. Any refusal is raised as a SyncFault."""
        response = self._sent_wherever(request, kwargs)
        if response.status_code == 401:
            self._token = self._renewed(self._token)
            response = self._sent_wherever(request, kwargs)
        self._note_usage(response)
        if response.status_code >= 300:
            raise fault_of(response.status_code, response.content, self.clock(), self._settings.tenant_id)
        return response

    def _note_usage(self, response: requests.Response) -> None:
        """Keep what the answer says of the org's quota, and only what can be true from simple-salesforce as well."""
        usage = _USAGE.search(response.headers.pop("Sforce-Limit-Info", ""))
        used, limit = (count_of(usage[1]), count_of(usage[2])) if usage else (None, None)
        if used is not None and limit is not None:
            self.gauges |= {"api_used": used, "api_limit": limit}

    def _sent_wherever(self, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        """Send to where the org is. One that has moved redirects from its old host: a new token names the new one.

        That is asked once a session, and taken only from Salesforce's own answer. Raises Broken (`org_moved`).
        """
        try:
            return self._sent_with_token(request, kwargs)
        except Broken as fault:
            if fault.code != "redirect_refused":
                raise
        if not self._has_asked_where:
            self._has_asked_where, before = True, self.instance_url
            self._token = self._renewed(self._token)
            self.instance_url = auth.instance_of(self._settings, self._credentials.read())
            if self.instance_url != before:
                self._serve_instance()
                return self._sent_with_token(request, kwargs)
        raise ORG_MOVED.fault(VENDOR, urlsplit(self.instance_url).hostname, self._settings.tenant_id)

    def _serve_instance(self) -> str:
        """Make the instance reachable; its `host:port`. simple-salesforce builds https URLs only."""
        parts = urlsplit(self.instance_url)
        if parts.scheme == "http":  # only the sandbox gets that far
            self.serve_plainly(parts.netloc)
        return parts.netloc

    def _read_body(self, response: requests.Response, call: str) -> None:
        super()._read_body(response, call)
        if call.endswith("/composite"):
            unfold(response)

    def _sent_with_token(self, request: requests.PreparedRequest, kwargs: dict[str, Any]) -> requests.Response:
        parts, netloc = urlsplit(request.url or ""), urlsplit(self.instance_url).netloc
        if parts.netloc == self._first_netloc != netloc:  # simple-salesforce knows the old host only
            request.url = parts._replace(netloc=netloc).geturl()
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        request.headers.pop("X-PrettyPrint", None)  # records are kept as they come: no indentation
        return super().send(request, **kwargs)

    def _renewed(self, stale: Secret) -> Secret:
        token = self._credentials.renew(stale, self._exchange).get("access_token")
        if not token:
            raise auth.not_connected(self._settings)
        return token

    def _exchange(self, current: Credentials) -> Credentials:
        with VendorSession(VENDOR, self._settings, clock=self.clock, sleep=self.pause) as login:
            try:
                return auth.refresh(login, self._settings, current)
            finally:
                self.requests += login.requests


class _RawSalesforce(Salesforce):
    """simple-salesforce that leaves bodies of queries and limits as bytes."""

    def parse_result_to_json(self, result: requests.Response) -> bytes:
        """The body itself."""
        return result.content


class FieldInfo(msgspec.Struct, frozen=True):
    """One field of a describe answer, as far as it matters to us."""

    name: str
    type: str
    label: str = ""
    custom: bool = False
    nillable: bool = True
    defaultedOnCreate: bool = False
    calculated: bool = False

    @property
    def is_unstamped(self) -> bool:
        """True when its value changes while the record's stamps don't: formulas, roll-ups, what follows activities."""
        return self.calculated or self.name in _UNSTAMPED


class _Version(msgspec.Struct):
    version: str


_Offered = list[_Version]


class _Describe(msgspec.Struct):
    fields: list[FieldInfo]


@dataclass(frozen=True, slots=True)
class BulkPage:
    """A page of a query job's results: CSV text, records in it, and where the next one starts ("": none)."""

    text: str
    number_of_records: int
    next_locator: str


class SalesforceSession(Conversation[SalesforceHttp]):
    """An authenticated conversation with one org."""

    def __init__(
        self,
        credentials: CredentialSource,
        settings: ConnectorSettings,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        version = str(settings.options.get("api_version") or DEFAULT_API_VERSION)
        if not _API_VERSION.fullmatch(version):
            raise Broken(
                "api_version", f"{version[:20]!r} is no API version.", next_step=f"Use one like {DEFAULT_API_VERSION}."
            )
        super().__init__(settings, SalesforceHttp(credentials, settings, clock=clock, sleep=sleep))
        self._sf = _RawSalesforce(
            instance_url=self.http.instance_url, session_id="kept by the session", version=version, session=self.http
        )
        self._described: dict[str, tuple[FieldInfo, ...]] = {}

    @property
    def base_url(self) -> str:
        """Root of the data API of this org."""
        return f"{self.http.instance_url}/services/data/v{self._sf.sf_version}"

    def plain_client(self) -> Salesforce:
        """simple-salesforce as people know it, over this session: tokens, pace and error tree stay ours."""
        return Salesforce(
            instance_url=self.http.instance_url,
            session_id="kept by the session",
            version=self._sf.sf_version,
            session=self.http,
        )

    def query(self, soql: str, *, page_records: int = 2000, include_deleted: bool = True) -> bytes:
        """First page of a query of any length, `queryAll` unless told otherwise.

        A long one goes in the body of a Composite request: no address grows with the org's schema or a list of ids.
        """
        path = f"/services/data/v{self._sf.sf_version}/query{'All' if include_deleted else ''}"
        address = f"{path}?{urlencode({'q': soql})}"
        headers = _batch_size(page_records)
        if len(self.http.instance_url) + len(address) <= MOST_URI_BYTES:
            body: bytes = self._sf.query(soql, include_deleted=include_deleted, headers=headers)
            return body
        return self.http.post(f"{self.base_url}/composite", json=composite_of(address, headers)).content

    def query_more(self, next_path: str, *, page_records: int = 2000) -> bytes:
        """A further page by its (checked) `nextRecordsUrl`."""
        body: bytes = self._sf.query_more(next_path, identifier_is_url=True, headers=_batch_size(page_records))
        return body

    def check_version(self) -> None:
        """Raise Broken (`api_version`), naming what is offered, when this org doesn't serve the session's version."""
        body, ours = self.http.get(f"{self.http.instance_url}/services/data").content, str(self._sf.sf_version)
        try:
            offered = [one.version for one in msgspec.json.decode(body, type=_Offered)]
        except (msgspec.MsgspecError, ValueError):
            raise outside_contract(VENDOR, "list of API versions") from None
        numbers = sorted((each for each in offered if _OFFERED_VERSION.fullmatch(each)), key=float)
        if offered and not numbers:
            raise outside_contract(VENDOR, "list of API versions")
        if numbers and ours not in numbers:
            raise Broken(
                "api_version",
                f"Salesforce doesn't offer this org API version {ours}, but {numbers[0]} to {numbers[-1]}.",
                next_step="Set SALESFORCE_API_VERSION (or the connector's option api_version) to one of these.",
            )

    def limits(self) -> dict[str, Any]:
        """The org's limits: the cheapest authenticated call."""
        return _object(self._sf.limits())

    def describe(self, object_name: str, *, fresh: bool = False) -> tuple[FieldInfo, ...]:
        """Fields this user may see, in the vendor's order; asked once a session unless `fresh`."""
        if fresh or object_name not in self._described:
            try:
                answer = msgspec.convert(getattr(self._sf, object_name).describe(), type=_Describe)
            except (msgspec.ValidationError, ValueError):
                raise outside_contract(VENDOR, "description") from None
            self._described[object_name] = tuple(answer.fields)
        return self._described[object_name]

    def create_query_job(self, object_name: str, soql: str) -> str:
        """Start a Bulk API 2.0 job of kind queryAll; gives its id."""
        try:
            job_id = str(self._bulk(object_name).create_job(Operation.query_all, query=soql)["id"])
        except (ValueError, KeyError, TypeError):
            raise outside_contract(VENDOR, "answer to a new job") from None
        if not _JOB_ID.fullmatch(job_id):
            raise outside_contract(VENDOR, "answer to a new job")
        return job_id

    def job_state(self, object_name: str, job_id: str) -> str:
        """State of a job: UploadComplete, InProgress, JobComplete, Failed or Aborted."""
        try:
            return str(self._bulk(object_name).get_job(job_id, True)["state"])
        except (ValueError, KeyError, TypeError):
            raise outside_contract(VENDOR, "job status") from None

    def job_results(self, object_name: str, job_id: str, locator: str, max_records: int) -> BulkPage:
        """A page of results; the same locator gives the same page again while the job exists."""
        client = self._bulk(object_name)
        answer = call_salesforce(
            url=f"{client._construct_request_url(job_id, True)}/results",
            method="GET",
            session=client.session,
            headers=client._get_headers(client.JSON_CONTENT_TYPE, client.CSV_CONTENT_TYPE),
            params={"maxRecords": max_records} | ({"locator": locator} if locator else {}),
        )
        records = count_of(answer.headers.get("Sforce-NumberOfRecords"))
        if records is None:
            raise outside_contract(VENDOR, "page of Bulk results")
        following = answer.headers.get("Sforce-Locator", "")
        text = unmarked(answer.content).decode(errors=ON_BAD_BYTES).replace("\0", "\N{REPLACEMENT CHARACTER}")
        return BulkPage(text, records, "" if following == "null" else following)

    def _bulk(self, object_name: str) -> Any:
        # The public calls of SFBulk2Type poll with a five-second first wait and hide locators.
        return getattr(self._sf.bulk2, object_name)._client


def open_session(
    credentials: CredentialSource, settings: ConnectorSettings, *, clock: Clock = utc_now, sleep: Sleep | None = None
) -> SalesforceSession:
    """A session from stored credentials. Raises Reauthorize when there are none."""
    if not credentials.read():
        raise auth.not_connected(settings)
    return SalesforceSession(credentials, settings, clock=clock, sleep=sleep)


def _batch_size(page_records: int) -> dict[str, str]:
    return {"Sforce-Query-Options": f"batchSize={min(2000, max(200, page_records))}"}


def _object(body: bytes) -> dict[str, Any]:
    if has_too_many_values(body):
        raise outside_contract(VENDOR, "answer")
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise outside_contract(VENDOR, "answer") from None
    return parsed if isinstance(parsed, dict) else {}
