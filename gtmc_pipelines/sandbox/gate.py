"""The gate in front of each vendor: control pages, journal, and the faults that need no knowledge of the vendor."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gtmc_pipelines.sandbox.echo import echoed
from gtmc_pipelines.sandbox.journal import Journal
from gtmc_pipelines.sandbox.knobs import Knob, Knobs
from gtmc_pipelines.sandbox.spoiled import FAULT as UNREADABLE
from gtmc_pipelines.sandbox.spoiled import TEXT as UNREADABLE_TEXT
from gtmc_pipelines.sandbox.spoiled import Spoiler
from gtmc_pipelines.sandbox.vendor import Exchange, Vendor

TRANSPORT_FAULTS = {
    "rate_limit": "429 in the vendor's words. retry_after: seconds (default 1), null: no header; "
    "retry_after_form: seconds | date",
    "server_error": "status (default 503) with body: json (the vendor's words) | html",
    "html_page": "an HTML page instead of an answer; status (default 200)",
    "echo": "status (default 401) with the JSON `words`; {echo} in them becomes the request's headers, query and body",
    "slow": "latency_ms before the answer; bytes_per_second: the body trickles",
    "cut": "the connection is closed after after_bytes of the body (default: in the middle of its first chunk)",
    UNREADABLE: UNREADABLE_TEXT,
    "clock_skew": "seconds the vendor's clock is off (Date header, stamps of changes); stays on, takes no chances",
}

_PAGE = (
    "<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>We are down for maintenance.</h1></body></html>"
)


def retry_after(knob: Knob) -> dict[str, str]:
    """The Retry-After header a knob asks for."""
    seconds = knob.parameters.get("retry_after", 1)
    if seconds is None:
        return {}
    if knob.parameters.get("retry_after_form") == "date":
        return {"retry-after": formatdate(time.time() + float(seconds), usegmt=True)}
    return {"retry-after": str(seconds)}


class Gate:
    """ASGI application of one vendor's ports."""

    def __init__(self, vendor: Vendor, control: ASGIApp, journal: Journal, knobs: Knobs) -> None:
        self._vendor, self._control, self._journal, self._knobs = vendor, control, journal, knobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; every one that is not for the control pages is in the journal."""
        if scope["type"] != "http":
            return
        scope["sandbox.vendor"] = self._vendor
        if scope["path"].startswith("/_sandbox"):
            await self._control(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        query = scope["query_string"].decode("latin-1")[:1000]
        entry = self._journal.begin(self._vendor.name, scope["method"], scope["path"], query)
        entry.org = self._vendor.org_of(connection)
        exchange = scope["sandbox"] = Exchange(entry, self._knobs)
        outlet = _Outlet(exchange, send, self._now(entry.org))
        try:
            outlet.slow, outlet.cut = exchange.struck("slow"), None
            if outlet.slow:
                await asyncio.sleep(float(outlet.slow.parameters.get("latency_ms", 0)) / 1000)
            echo = exchange.struck("echo")
            spoilt = await echoed(echo, scope, receive) if echo else self._spoilt(exchange, connection)
            if spoilt is None:
                outlet.cut = exchange.struck("cut")
            unreadable = exchange.struck(UNREADABLE)
            way_out = Spoiler(unreadable, outlet.send).send if unreadable else outlet.send
            await (spoilt or self._vendor.app)(scope, receive, way_out)
        except _Cut:
            return  # leaving an answer unfinished makes the server close the connection
        finally:
            self._journal.end(entry, complete=outlet.finished)

    def _now(self, org: str | None) -> float:
        skew = self._knobs.standing("clock_skew", self._vendor.name, org)
        return time.time() + (float(skew.parameters.get("seconds", 0)) if skew else 0.0)

    def _spoilt(self, exchange: Exchange, connection: HTTPConnection) -> Response | None:
        if knob := exchange.struck("rate_limit"):
            response = self._vendor.trouble(429, connection)
            response.headers.update(retry_after(knob))
            return response
        if knob := exchange.struck("server_error"):
            status = int(knob.parameters.get("status", 503))
            if knob.parameters.get("body") == "html":
                return HTMLResponse(_PAGE, status)
            return self._vendor.trouble(status, connection)
        if knob := exchange.struck("html_page"):
            return HTMLResponse(_PAGE, int(knob.parameters.get("status", 200)))
        return None


class _Cut(Exception):
    """Raised to leave an answer unfinished."""


class _Outlet:
    """The way out: counts, dates, slows down and cuts the answer."""

    def __init__(self, exchange: Exchange, send: Send, now: float) -> None:
        self._entry, self._send, self._now = exchange.entry, send, now
        self.slow: Knob | None = None
        self.cut: Knob | None = None
        self.finished = False

    async def send(self, message: Message) -> None:
        """Pass one ASGI message on."""
        if message["type"] == "http.response.start":
            self._entry.status = message["status"]
            message["headers"] = [*message.get("headers", []), (b"date", formatdate(self._now, usegmt=True).encode())]
            await self._send(message)
            return
        body = message.get("body", b"")
        if self.cut and body:
            await self._cut(body)
        if self.slow and self.slow.parameters.get("bytes_per_second"):
            body = await self._trickle(body, float(self.slow.parameters["bytes_per_second"]))
        self._entry.bytes += len(body)
        await self._send({**message, "body": body})
        self.finished = not message.get("more_body", False)

    async def _cut(self, body: bytes) -> None:
        assert self.cut is not None
        limit = int(self.cut.parameters.get("after_bytes", len(body) // 2))
        allowed = max(0, limit - self._entry.bytes)
        if allowed >= len(body) and "after_bytes" in self.cut.parameters:
            return
        self._entry.bytes += min(allowed, len(body))
        await self._send({"type": "http.response.body", "body": body[:allowed], "more_body": True})
        raise _Cut

    async def _trickle(self, body: bytes, bytes_per_second: float) -> bytes:
        step = max(1, int(bytes_per_second / 20))
        for start in range(0, max(0, len(body) - step), step):
            self._entry.bytes += step
            await self._send({"type": "http.response.body", "body": body[start : start + step], "more_body": True})
            await asyncio.sleep(step / bytes_per_second)
        sent = len(range(0, max(0, len(body) - step), step)) * step
        return body[sent:]
