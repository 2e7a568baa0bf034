"""The imitated Delivr.ai as the sandbox's server sees it: routes, organizations, keys, truth and state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gtmc_pipelines.sandbox.delivrai.asked import Refused
from gtmc_pipelines.sandbox.delivrai.bend import PAGE_FAULTS, RECORD_FAULTS
from gtmc_pipelines.sandbox.delivrai.docs import DOCS
from gtmc_pipelines.sandbox.delivrai.internal import InternalPages
from gtmc_pipelines.sandbox.delivrai.org import DEFAULT_ENRICHED, DEFAULT_RATE, DEFAULT_SIGNALS, SIGNAL, Org
from gtmc_pipelines.sandbox.delivrai.public import PublicPages
from gtmc_pipelines.sandbox.delivrai.signals import DAY_MS, midnight_ms
from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.vendor import Mutation, exchange_of

_CHUNK = 500
_OLDEST_ANCHOR_MS = 25 * DAY_MS


class DelivraiVendor:
    """All organizations behind one host, told apart by their key."""

    name: str = "delivrai"
    faults: Mapping[str, str] = {
        **RECORD_FAULTS,
        **PAGE_FAULTS,
        "refused_key": "401; count: 1 for once",
        "forbidden": "403",
        "out_of_credit": "402",
        "bad_request": "400",
        "busy": "503 busy with Retry-After of `retry_after` seconds (default 1)",
        "not_ready": "409 not_ready at audience records",
        "cursor_stale": "409 cursor_stale at a next page of audience records or intent by topic",
    }
    sizes: Mapping[str, int] = {
        "signals": DEFAULT_SIGNALS,
        "enriched_companies": DEFAULT_ENRICHED,
        "delivrai_requests_per_second": DEFAULT_RATE,
    }
    docs: str = DOCS

    def __init__(self, options: SandboxOptions, knobs: Knobs) -> None:
        self._options, self._knobs = options, knobs
        self.orgs = tuple(options.tenants)
        self.changed: Callable[[], None] = lambda: None
        self._anchor_ms = midnight_ms()
        self.app: ASGIApp = _with_limits(self._app())
        self.reset()

    def reset(self) -> None:
        """Back to the beginning."""
        options = self._options
        self._orgs = {name: Org(name, options.seed, options.sizes, self._anchor_ms) for name in self.orgs}

    def org_of(self, connection: HTTPConnection) -> str | None:
        """Whose key a request carries."""
        key = connection.headers.get("x-api-key", "")
        return next((name for name, org in self._orgs.items() if org.api_key == key), None)

    def authorized(self, request: Request, *, needs_secret: bool = True) -> Org:
        """The organization of the key. Raises Refused: 401, 402, 403, 429, 503, as keys and knobs have it."""
        name, exchange = self.org_of(request), exchange_of(request)
        if name is None:
            raise Refused(401, "Invalid API key")
        org = self._orgs[name]
        if needs_secret and request.headers.get("x-api-secret") != org.api_secret:
            raise Refused(401, "Invalid API key or secret")
        left = org.left()
        request.scope["delivrai.limits"] = (org.rate, max(0, left))
        if left < 0:
            raise Refused(429, "rate limit exceeded", {"retry-after": "1"})
        if exchange.struck("refused_key", name):
            raise Refused(401, "Invalid API key")
        for fault, status, text in (
            ("forbidden", 403, "forbidden"),
            ("out_of_credit", 402, "out of credit"),
            ("bad_request", 400, "bad request"),
        ):
            if exchange.struck(fault, name):
                raise Refused(status, text)
        if knob := exchange.struck("busy", name):
            raise Refused(503, "busy", {"retry-after": str(knob.parameters.get("retry_after", 1))})
        return org

    def trouble(self, status: int, connection: HTTPConnection) -> Response:
        """A 429 or 5xx in Delivr.ai's words."""
        words = {429: "rate limit exceeded", 503: "busy"}
        return JSONResponse({"error": words.get(status, "internal error")}, status)

    def credentials(self) -> dict[str, Any]:
        """Per organization its key and secret, and what the public API wants to be told."""
        return {
            "orgs": {
                name: {
                    "api_key": org.api_key,
                    "api_secret": org.api_secret,
                    "project_id": org.project_id,
                    "pixel_id": org.pixel_id,
                }
                for name, org in self._orgs.items()
            }
        }

    def mutate(self, mutation: Mutation) -> list[str]:
        """Change signals or companies."""
        return self._orgs[mutation.org].mutate(mutation)

    def truth(self, org: str) -> dict[str, dict[str, Any]]:
        """Live and vanished records per object."""
        return self._orgs[org].truth()

    async def live_records(self, org: str, kind: str, offset: int, limit: int | None) -> AsyncIterator[bytes]:
        """Live records as the platform's contract words them, by number."""
        found = self._orgs[org]
        if kind == SIGNAL:
            numbers, record = list(range(len(found.signals))), found.signals.record
        else:
            numbers, record = found.companies.live(0, len(found.companies)), found.companies.record
        wanted = numbers[offset:] if limit is None else numbers[offset : offset + limit]
        for start in range(0, len(wanted), _CHUNK):
            lines = [json.dumps(record(number), ensure_ascii=False) for number in wanted[start : start + _CHUNK]]
            yield "".join(f"{line}\n" for line in lines).encode()
            await asyncio.sleep(0)

    def dump(self) -> dict[str, Any]:
        """Touched records, and the day the seeded ones are counted back from."""
        return {"anchor_ms": self._anchor_ms, "orgs": {name: org.dump() for name, org in self._orgs.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up touched records; a day so old that a first sync would miss signals is moved to today."""
        if midnight_ms() - state["anchor_ms"] <= _OLDEST_ANCHOR_MS:
            self._anchor_ms = state["anchor_ms"]
        self.reset()
        for name, org in self._orgs.items():
            if name in state["orgs"]:
                org.load(state["orgs"][name])

    def _app(self) -> Starlette:
        internal, public = InternalPages(self), PublicPages(self)
        app = Starlette(
            routes=[
                Route("/v1/health", internal.health),
                Route("/v1/intent-signals", internal.signals),
                Route("/v1/company-enrichment", internal.companies),
                Route("/api/v1/whoami", public.whoami),
                Route("/api/v1/events", public.events),
                Route("/api/v2/events", public.events),
                Route("/api/v3/events/{tier}", public.events),
                Route("/api/v1/event_counts", public.event_counts),
                Route("/api/v1/intent/companies", public.topic_companies, methods=["POST"]),
                Route("/api/v1/intent/people", public.topic_people, methods=["POST"]),
                Route("/api/v1/intent/company", public.company, methods=["POST"]),
                Route("/api/v1/audiences/{audience:int}/records", public.audience_records),
                Route("/api/v1/contact/query", public.contacts, methods=["POST"]),
            ],
            exception_handlers={Refused: _refused, HTTPException: _no_route},
        )
        app.router.redirect_slashes = False
        return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return error.response()


def _with_limits(app: ASGIApp) -> ASGIApp:
    """Tells on every answer to a known key how many requests are left."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start" and "delivrai.limits" in scope:
                rate, left = scope["delivrai.limits"]
                limits = [(b"x-ratelimit-limit", b"%d" % rate), (b"x-ratelimit-remaining", b"%d" % left)]
                message = {**message, "headers": [*message.get("headers", []), *limits]}
            await send(message)

        await app(scope, receive, send_with_limits)

    return outer


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": "not found" if error.status_code == 404 else "method not allowed"}, error.status_code)
