"""The imitated Graph's front door: both spellings of paths, request ids, errors in the envelope, mailbox limits."""

from __future__ import annotations

import re
import time
import uuid
from collections import Counter, deque
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from gtmc_pipelines.sandbox.o365.errors import GraphError, LoginError

MOST_AT_ONCE, MOST_REQUESTS, WINDOW_SECONDS = 4, 10_000, 600.0
_KEY = re.compile(r"(\w+)\('([^']*)'\)")
_MAILBOX = re.compile(r"/v1\.0/users/([^/]+)/")


class Door:
    """ASGI application around the routes; `limits` can be lowered by tests through the knob."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        handlers = {GraphError: _refused, LoginError: _login_refused, HTTPException: _no_route}
        self._app = Starlette(routes=routes, exception_handlers=handlers)
        self._app.router.redirect_slashes = False
        self._serving: Counter[str] = Counter()
        self._arrivals: dict[str, deque[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request within its mailbox's limits."""
        path = _KEY.sub(r"\1/\2", scope["path"]).removesuffix("()").rstrip("/") or "/"
        scope = {**scope, "path": path, "raw_path": path.encode()}
        found = _MAILBOX.match(path)
        if found is None:
            await self._served(scope, receive, send)
            return
        mailbox = found[1].lower()
        limit = self._over(mailbox)
        if limit:
            error = GraphError(
                429, "ApplicationThrottled", f"Application is over its {limit} limit.", {"Retry-After": "1"}
            )
            await error.response()(scope, receive, send)
            return
        self._serving[mailbox] += 1
        try:
            await self._served(scope, receive, send)
        finally:
            self._serving[mailbox] -= 1

    def _over(self, mailbox: str) -> str | None:
        """The limit this arrival breaks, if any."""
        if self._serving[mailbox] >= MOST_AT_ONCE:
            return "MailboxConcurrency"
        arrivals, now = self._arrivals.setdefault(mailbox, deque()), time.monotonic()
        while arrivals and arrivals[0] < now - WINDOW_SECONDS:
            arrivals.popleft()
        if len(arrivals) >= MOST_REQUESTS:
            return "MailboxRequests"
        arrivals.append(now)
        return None

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        client_id = HTTPConnection(scope).headers.get("client-request-id", request_id)
        scope["o365.ids"] = request_id, client_id

        async def send_with_ids(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"].startswith("/v1.0"):
                ids = [(b"request-id", request_id.encode()), (b"client-request-id", client_id.encode())]
                message = {**message, "headers": [*message.get("headers", []), *ids]}
            await send(message)

        await self._app(scope, receive, send_with_ids)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, GraphError)
    return error.response(*request.scope["o365.ids"])


async def _login_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginError)
    return error.response()


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return GraphError(
            405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."
        ).response()
    segment = request.url.path.rpartition("/")[2][:60]
    return GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.").response()
