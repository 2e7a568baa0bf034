"""The imitated Salesforce's front door: size of requests, optional trailing slashes, usage header, errors as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ExceptionHandler, Message, Receive, Scope, Send

from gtmc_pipelines.sandbox.salesforce.errors import ApiError, Moved, not_found

Usage = Callable[[HTTPConnection], str | None]

MOST_HEAD_BYTES = 16_384
"""URI and headers together (the vendor's limits of REST calls): beyond it 431, 414 when the URI alone is too long."""

TOKEN_BYTES = 2_000
"""How long a session's token may become: a shorter one counts as that long, so that no test is blind to it."""


class Door:
    """ASGI application around the routes. `usage` gives the Sforce-Limit-Info of an answer, or None for none."""

    def __init__(self, routes: Sequence[BaseRoute], usage: Usage) -> None:
        self._usage = usage
        handlers: dict[Any, ExceptionHandler] = {ApiError: _refused, Moved: _elsewhere, HTTPException: _no_route}
        self._app = Starlette(routes=routes, exception_handlers=handlers)
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = _too_large(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        path = scope["path"].rstrip("/") or "/"
        scope = {**scope, "path": path, "raw_path": path.encode()}

        async def send_with_usage(message: Message) -> None:
            if message["type"] == "http.response.start":
                usage = self._usage(HTTPConnection(scope))
                if usage:
                    header = (b"sforce-limit-info", usage.encode())
                    message = {**message, "headers": [*message.get("headers", []), header]}
            await send(message)

        await self._app(scope, receive, send_with_usage)


def _too_large(scope: Scope) -> Response | None:
    """The vendor's server page for a request whose head is too large. A subrequest of a body has no head."""
    if scope.get("sandbox.subrequest"):
        return None
    query = scope["query_string"]
    uri = len(scope["raw_path"]) + (len(query) + 1 if query else 0)
    if uri > MOST_HEAD_BYTES:
        return HTMLResponse("<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", 414)
    if uri + sum(_header_bytes(name, value) for name, value in scope["headers"]) > MOST_HEAD_BYTES:
        return HTMLResponse("<h1>Bad Message 431</h1><pre>reason: Request Header Fields Too Large</pre>", 431)
    return None


def _header_bytes(name: bytes, value: bytes) -> int:
    is_session = name.lower() == b"authorization"
    return len(name) + max(len(value), len("Bearer ") + TOKEN_BYTES if is_session else 0) + len(": \r\n")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _elsewhere(request: Request, error: Exception) -> Response:
    assert isinstance(error, Moved)
    return RedirectResponse(f"{error.to}{request.url.path}", 302)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        method = f"HTTP Method '{request.method}' not allowed."
        return ApiError(405, "METHOD_NOT_ALLOWED", method).response()
    return not_found().response()
