"""The imitated Customer.io as the sandbox's server sees it: its routes, workspaces, keys, truth and state."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from gtmc_pipelines.sandbox.customerio import exports
from gtmc_pipelines.sandbox.customerio import log_pages as logs
from gtmc_pipelines.sandbox.customerio import people_pages as people
from gtmc_pipelines.sandbox.customerio.bend import PAGE_FAULTS, RECORD_FAULTS
from gtmc_pipelines.sandbox.customerio.changes import change
from gtmc_pipelines.sandbox.customerio.docs import DOCS
from gtmc_pipelines.sandbox.customerio.door import DOOR_FAULTS, THROTTLED, Door, region_of
from gtmc_pipelines.sandbox.customerio.errors import ApiError, meta_error, not_found
from gtmc_pipelines.sandbox.customerio.workspace import SIZES, Workspace
from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.vendor import Mutation, exchange_of

_CHUNK = 500

Page = Callable[[Request, Workspace], Awaitable[Response]]


class CustomerioVendor:
    """All workspaces behind the hosts of both regions."""

    name: str = "customerio"
    faults: Mapping[str, str] = {
        **RECORD_FAULTS,
        **PAGE_FAULTS,
        **DOOR_FAULTS,
        "meta_error": "`status` (default 400) with an error under `meta`",
        "docs_probe": "GET /v1/accounts/region answers with an App key; stays on until removed",
    }
    sizes: Mapping[str, int] = SIZES
    docs: str = DOCS

    def __init__(self, options: SandboxOptions, knobs: Knobs) -> None:
        self._options, self._knobs = options, knobs
        self.orgs = tuple(options.tenants)
        self.changed: Callable[[], None] = lambda: None
        self._anchor = int(time.time()) // 3600 * 3600
        self.app: ASGIApp = self._application()
        self.reset()

    def reset(self) -> None:
        """Back to the beginning."""
        seed, sizes = self._options.seed, self._options.sizes
        self._workspaces = {name: Workspace(name, seed, sizes, self._anchor) for name in self.orgs}
        self._door = Door(self._workspaces.values())

    # --- who asks

    def org_of(self, connection: HTTPConnection) -> str | None:
        """The workspace of the key in the Authorization header, whatever its region."""
        found = self._door.known(connection)
        return found.name if found else None

    def trouble(self, status: int, connection: HTTPConnection) -> Response:
        """A 429 or 5xx in Customer.io's words."""
        return ApiError(status, THROTTLED if status == 429 else "internal error").response()

    def credentials(self) -> dict[str, Any]:
        """Per org an App API key for either region, and a Track key pair."""
        return {
            "orgs": {
                name: {
                    "api_key": workspace.api_key,
                    "region": "us",
                    "eu_api_key": workspace.eu_api_key,
                    "site_id": workspace.site_id,
                    "track_key": workspace.track_key,
                }
                for name, workspace in self._workspaces.items()
            },
            "eu_path": "/eu",
        }

    def _served(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            workspace = self._door.admitted(request)
            if knob := exchange_of(request).struck("meta_error", workspace.name):
                return meta_error(int(knob.parameters.get("status", 400)), "the request could not be served")
            return await page(request, workspace)

        return answer

    async def _track_region(self, request: Request) -> Response:
        """`GET /api/v1/accounts/region` of the Track host."""
        workspace = self._door.tracked(request)
        if workspace is None:
            return meta_error(401, "unauthorized")
        return JSONResponse({"url": "track.customer.io", "region": "us", "environment_id": workspace.number})

    async def _download(self, request: Request) -> Response:
        """The file of an export."""
        asked = request.path_params
        return exports.file_of(self._workspaces.get(asked["org"]), asked["export"], asked["token"])

    async def _documented_region(self, request: Request, workspace: Workspace) -> Response:
        """The probe of the product documentation: not among the App API's paths unless the knob is on."""
        if self._knobs.standing("docs_probe", self.name, workspace.name) is None:
            raise not_found()
        return JSONResponse({"region": region_of(request), "environment_id": workspace.number})

    # --- changes and truth

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change people, messages or activities."""
        return change(self._workspaces[mutation.org], mutation)

    def truth(self, org: str) -> dict[str, dict[str, Any]]:
        """Live and deleted records per kind; the logs are never deleted from."""
        workspace = self._workspaces[org]
        live, deleted = workspace.people.counts()
        logs_of = {"messages": workspace.messages.timeline, "activities": workspace.activities.timeline}
        counts = {name: log.base + len(log.added()) for name, log in logs_of.items()}
        return {
            "people": {"live": live, "deleted": deleted},
            **{name: {"live": count, "deleted": 0} for name, count in counts.items()},
        }

    async def live_records(self, org: str, kind: str, offset: int, limit: int | None) -> AsyncIterator[bytes]:
        """Live records as the API words them, in the order they were made."""
        records = self._records(self._workspaces[org], kind)
        chosen = islice(records, offset, None if limit is None else offset + limit)
        while chunk := list(islice(chosen, _CHUNK)):
            yield "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in chunk).encode()
            await asyncio.sleep(0)

    def _records(self, workspace: Workspace, kind: str) -> Iterator[Mapping[str, Any]]:
        if kind == "people":
            return (workspace.people.customer(index) for index in workspace.people.live())
        log = workspace.messages if kind == "messages" else workspace.activities
        return (log.record(index) for index in range(log.timeline.next_index))

    def dump(self) -> dict[str, Any]:
        """The moment the data ends at, and what has changed since."""
        return {"anchor": self._anchor, "workspaces": {name: one.dump() for name, one in self._workspaces.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what `dump` gave."""
        self._anchor = int(state["anchor"])
        self.reset()
        for name, workspace in self._workspaces.items():
            if name in state["workspaces"]:
                workspace.load(state["workspaces"][name])

    # --- routes

    def _application(self) -> Starlette:
        api = self._routes()
        app = Starlette(
            routes=[
                Mount("/eu", routes=api),
                Route("/api/v1/accounts/region", self._track_region),
                Route("/downloads/{org}/{export:int}/{token}", self._download),
                *api,
            ],
            exception_handlers={ApiError: _refused, HTTPException: _no_route},
        )
        app.router.redirect_slashes = False
        return app

    def _routes(self) -> list[BaseRoute]:
        person = "/v1/customers/{customer}"
        get: dict[str, Page] = {
            "/v1/workspaces": _workspaces,
            "/v1/accounts/region": self._documented_region,
            "/v1/customers": people.by_email,
            f"{person}/attributes": people.one_person,
            f"{person}/segments": people.person_segments,
            f"{person}/relationships": people.relationships,
            f"{person}/subscription_preferences": people.subscription_preferences,
            f"{person}/messages": logs.messages,
            f"{person}/activities": logs.activities,
            "/v1/segments": people.segments,
            "/v1/segments/{segment}": people.segment,
            "/v1/segments/{segment}/membership": people.membership,
            "/v1/segments/{segment}/customer_count": people.customer_count,
            "/v1/messages": logs.messages,
            "/v1/messages/{message}": logs.message,
            "/v1/messages/{message}/archived_message": logs.archived_message,
            "/v1/{kind:str}/{parent:int}/messages": logs.messages,
            "/v1/activities": logs.activities,
            "/v1/exports": exports.exports,
            "/v1/exports/{export:int}": exports.export,
            "/v1/exports/{export:int}/download": exports.download,
        }
        post: dict[str, Page] = {
            "/v1/customers": people.search,
            "/v1/customers/attributes": people.attributes,
            "/v1/exports/customers": exports.export_customers,
            "/v1/exports/deliveries": exports.export_deliveries,
        }
        routes = [Route(path, self._served(page), methods=["POST"]) for path, page in post.items()]
        return [*routes, *(Route(path, self._served(page), methods=["GET"]) for path, page in get.items())]


async def _workspaces(request: Request, workspace: Workspace) -> Response:
    live, _ = workspace.people.counts()
    one = {
        "id": workspace.number,
        "name": workspace.name,
        "messages_sent": workspace.messages.timeline.base,
        "billable_messages_sent": workspace.messages.timeline.base,
        "people": live,
        "object_types": 0,
        "objects": 0,
    }
    return JSONResponse({"workspaces": [one]})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return (
        ApiError(error.status_code, "method not allowed").response()
        if error.status_code == 405
        else not_found().response()
    )
