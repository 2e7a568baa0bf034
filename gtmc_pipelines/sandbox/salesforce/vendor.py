"""The imitated Salesforce as the sandbox's server sees it: its routes, orgs, credentials, truth and state."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.salesforce.bend import PAGE_FAULTS, RECORD_FAULTS
from gtmc_pipelines.sandbox.salesforce.bulk import BulkPages
from gtmc_pipelines.sandbox.salesforce.changes import change
from gtmc_pipelines.sandbox.salesforce.composite import CompositePages
from gtmc_pipelines.sandbox.salesforce.docs import DOCS
from gtmc_pipelines.sandbox.salesforce.door import Door
from gtmc_pipelines.sandbox.salesforce.encode import all_paths, json_rows
from gtmc_pipelines.sandbox.salesforce.errors import INVALID_SESSION, ApiError, Moved, not_found
from gtmc_pipelines.sandbox.salesforce.grants import Grants
from gtmc_pipelines.sandbox.salesforce.oauth import OAuthPages
from gtmc_pipelines.sandbox.salesforce.org import SHAPES, Org
from gtmc_pipelines.sandbox.salesforce.rest import NEWEST_VERSION, OLDEST_VERSION, RestPages
from gtmc_pipelines.sandbox.salesforce.view import Window, WindowView
from gtmc_pipelines.sandbox.vendor import Mutation, base_of, exchange_of

_DATA = "/services/data/v{version}"
_VERSION = re.compile(r"([1-9]\d{0,2})\.0")
_TRUTH_VERSION = "60.0"
_CHUNK = 1000


class SalesforceVendor:
    """All orgs behind one host, as behind login.salesforce.com and the orgs' own hosts at once."""

    name: str = "salesforce"
    faults: Mapping[str, str] = {
        **RECORD_FAULTS,
        **PAGE_FAULTS,
        "quota": "403 REQUEST_LIMIT_EXCEEDED",
        "expired_session": "401 INVALID_SESSION_ID, and the session ends (ready-made ones live on); count: 1 for once",
        "revoke_grant": "at the next refresh the org's consent is withdrawn: invalid_grant",
        "grant_refused": "the token endpoint answers invalid_grant with `description` (default ip restricted)",
        "org_moved": "the org is at `to` (another base URL of this vendor) from now on; elsewhere a 302; stays on",
        "too_many_at_once": "403 REQUEST_LIMIT_EXCEEDED for the 25 long calls an org may have at once",
        "refused": "`status` (default 400) with errorCode `code` and `message`",
        "operation_too_large": "400 OPERATION_TOO_LARGE for a query without a LIMIT of `most` (default 8000) or fewer",
        "no_rotation": "refreshing gives no new refresh token; stays on until removed",
        "access_denied": "the user refuses at the authorize page",
        "app_not_installed": "the app isn't installed in the org: Salesforce's own error page, and no call back",
        "locator_expired": "400 INVALID_QUERY_LOCATOR at a next page, for good",
        "missing_field": "describe leaves `field` out",
        "describe_extra_field": "describe lists an additional `field`",
        "custom_fields": "`object` has `fields` more custom fields (default 800) of `length` characters (default 40); "
        "stays on, takes no chances",
        "hidden_field": "field-level security hides `field` of `object` from the user; stays on, takes no chances",
        "query_too_complicated": "400 QUERY_TOO_COMPLICATED for a select of more than `fields` fields (default 200)",
        "bulk_job_fails": "a job made now ends Failed, with `message`",
        "bulk_unsupported": "400 at job creation with `code` (default INVALIDENTITY) and `message`; `status` as given",
        "bulk_polls": "a job made now is InProgress for `polls` (default 2) looks",
    }
    sizes: Mapping[str, int] = {shape.size: shape.default_live for shape in SHAPES if shape.size}
    docs: str = DOCS

    def __init__(self, options: SandboxOptions, knobs: Knobs) -> None:
        self._options, self._knobs = options, knobs
        self.orgs = tuple(options.tenants)
        self.redirect_uris = options.registered_redirects
        self.changed: Callable[[], None] = lambda: None
        self.app: ASGIApp = Door(self._routes(), self.usage)
        self.reset()

    def reset(self) -> None:
        """Back to the beginning."""
        options = self._options
        self._orgs = {name: Org(name, options.seed, options.sizes) for name in self.orgs}
        self.grants = Grants(options.seed, {name: org.id for name, org in self._orgs.items()})

    # --- who asks

    def org(self, name: str) -> Org:
        """An org by name."""
        return self._orgs[name]

    def clock(self, org: str) -> float:
        """Unix seconds as this vendor believes them to be."""
        skew = self._knobs.standing("clock_skew", self.name, org)
        return time.time() + (float(skew.parameters.get("seconds", 0)) if skew else 0.0)

    def hinted(self, hint: str | None) -> str | None:
        """The org a login hint means: its name or its user's name."""
        return next((name for name, org in self._orgs.items() if hint in (name, org.username)), None)

    def org_of(self, connection: HTTPConnection) -> str | None:
        """The org of the session in the Authorization header."""
        return self.grants.org_of(_bearer(connection))

    def authorized(self, request: Request) -> Org:
        """The org whose session a request carries. Raises ApiError INVALID_SESSION_ID or REQUEST_LIMIT_EXCEEDED."""
        _check_version(request)
        session, exchange = _bearer(request), exchange_of(request)
        name = self.grants.org_of(session)
        if name is None:
            raise ApiError(401, *INVALID_SESSION)
        if exchange.struck("expired_session", name):
            self.grants.end_session(session)
            raise ApiError(401, *INVALID_SESSION)
        org, home = self._orgs[name], self.moved_to(name)
        if home is not None and base_of(request) != home:
            raise Moved(home)
        if exchange.struck("too_many_at_once", name):
            raise ApiError(
                403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
            )
        if knob := exchange.struck("refused", name):
            status, code = int(knob.parameters.get("status", 400)), str(knob.parameters.get("code", ""))
            raise ApiError(status, code, str(knob.parameters.get("message", "")))
        org.show(
            self._knobs.all_standing("custom_fields", self.name, name),
            self._knobs.all_standing("hidden_field", self.name, name),
        )
        if exchange.struck("quota", name) or org.requests_used >= org.requests_limit:
            raise ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        if not request.scope.get("sandbox.subrequest"):  # all of a Composite request is one call
            org.requests_used += 1
        return org

    def moved_to(self, org: str) -> str | None:
        """The host an org has moved to, when the knob `org_moved` says so."""
        knob = self._knobs.standing("org_moved", self.name, org)
        return str(knob.parameters.get("to", "")) if knob else None

    def usage(self, connection: HTTPConnection) -> str | None:
        """The Sforce-Limit-Info of an answer."""
        name = self.org_of(connection)
        if name is None or not connection.url.path.startswith("/services/data/"):
            return None
        return f"api-usage={self._orgs[name].requests_used}/{self._orgs[name].requests_limit}"

    def trouble(self, status: int, connection: HTTPConnection) -> Response:
        """A 429 or 5xx in Salesforce's words."""
        code, message = {
            429: ("TOO_MANY_REQUESTS", "Too many requests, try again later."),
            503: ("SERVER_UNAVAILABLE", "The server is temporarily unavailable."),
        }.get(status, ("UNKNOWN_EXCEPTION", "An unexpected error occurred."))
        return JSONResponse([{"errorCode": code, "message": message}], status)

    def credentials(self) -> dict[str, Any]:
        """Client, and per org a user to hint and a session that needs no OAuth."""
        return {
            "client_id": self.grants.client_id,
            "client_secret": self.grants.client_secret,
            "redirect_uris": list(self.redirect_uris),
            "orgs": {
                name: {
                    "username": org.username,
                    "org_id": org.id,
                    "access_token": self.grants.ready_session(name),
                }
                for name, org in self._orgs.items()
            },
        }

    # --- changes and truth

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change records of one object."""
        table = self._orgs[mutation.org].tables.get(mutation.object)
        if table is None:
            raise SandboxMisuse(f"salesforce has no object {mutation.object!r}.")
        return change(table, mutation)

    def truth(self, org: str) -> dict[str, dict[str, Any]]:
        """Live and deleted records per object."""
        counts = {name: table.counts() for name, table in self._orgs[org].tables.items()}
        return {name: {"live": live, "deleted": deleted} for name, (live, deleted) in counts.items()}

    async def live_records(self, org: str, kind: str, offset: int, limit: int | None) -> AsyncIterator[bytes]:
        """Live records with all fields, by Id."""
        table = self._orgs[org].tables[kind]
        view = WindowView(table, Window(), with_deleted=False, by_stamp=False)
        end = len(view) if limit is None else min(len(view), offset + limit)
        for start in range(offset, end, _CHUNK):
            for batch in table.batches(view.slice(start, min(_CHUNK, end - start))):
                yield "".join(f"{row}\n" for row in json_rows(batch, all_paths(table), _TRUTH_VERSION)).encode()
            await asyncio.sleep(0)

    def dump(self) -> dict[str, Any]:
        """Grants and touched records."""
        tables = {
            name: {
                table_name: [[index, patch.values, patch.purged] for index, patch in table.patches.items()]
                for table_name, table in org.tables.items()
                if table.patches
            }
            for name, org in self._orgs.items()
        }
        bases = {name: {kind: table.base for kind, table in org.tables.items()} for name, org in self._orgs.items()}
        return {"grants": self.grants.dump(), "orgs": tables, "bases": bases}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up grants, and the touched records of tables that still have the size they had."""
        self.grants.load(state["grants"], self.orgs)
        for name, org in self._orgs.items():
            for kind, patches in state["orgs"].get(name, {}).items():
                table = org.tables[kind]
                if state["bases"][name][kind] != table.base:
                    raise SandboxMisuse(f"The state folder was written with another --size of {kind}.")
                for index, values, purged in patches:
                    table.write(index, values, purged=purged)

    def _routes(self) -> list[BaseRoute]:
        oauth, rest, bulk = OAuthPages(self), RestPages(self), BulkPages(self)
        job = _DATA + "/jobs/query/{job}"
        sobject = _DATA + "/sobjects/{object}"
        return [
            Route("/services/oauth2/authorize", oauth.authorize),
            Route("/services/oauth2/token", oauth.token, methods=["POST"]),
            Route("/services/oauth2/revoke", oauth.revoke, methods=["GET", "POST"]),
            Route("/services/oauth2/userinfo", oauth.identity, methods=["GET", "POST"]),
            Route("/id/{org}/{user}", oauth.identity),
            Route("/setup/secur/RemoteAccessErrorPage.apexp", oauth.error_page),
            Route("/services/data", rest.versions),
            Route(_DATA, rest.resources),
            Route(_DATA + "/query", rest.query),
            Route(_DATA + "/queryAll", rest.query_all),
            Route(_DATA + "/query/{locator}", rest.query_more),
            Route(_DATA + "/composite", CompositePages(self).composite, methods=["POST"]),
            Route(_DATA + "/limits", rest.limits),
            Route(_DATA + "/sobjects", rest.objects),
            Route(sobject, rest.object),
            Route(sobject + "/describe", rest.describe),
            Route(sobject + "/deleted", rest.deleted),
            Route(sobject + "/updated", rest.updated),
            Route(sobject + "/{record}", rest.record),
            Route(_DATA + "/jobs/query", bulk.jobs, methods=["GET"]),
            Route(_DATA + "/jobs/query", bulk.create, methods=["POST"]),
            Route(job, bulk.job, methods=["GET", "PATCH", "DELETE"]),
            Route(job + "/results", bulk.results),
            Route(job + "/resultPages", bulk.result_pages),
        ]


def _check_version(request: Request) -> None:
    """Retired versions are gone, future ones aren't there (REST API "API End-of-Life")."""
    found = _VERSION.fullmatch(request.path_params.get("version", _TRUTH_VERSION))
    if found is None or int(found[1]) > NEWEST_VERSION:
        raise not_found()
    if int(found[1]) < OLDEST_VERSION:
        if "/jobs/" in request.url.path:
            raise ApiError(400, "InvalidVersion", f"API version {found[0]} is no longer supported.")
        raise ApiError(410, "GONE", f"API version {found[0]} has been retired.")


def _bearer(connection: HTTPConnection) -> str:
    kind, _, session = connection.headers.get("authorization", "").partition(" ")
    return session.strip() if kind.lower() in ("bearer", "oauth") else ""
