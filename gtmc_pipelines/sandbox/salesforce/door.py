"""The imitated Salesforce's front door: optional trailing slashes, usage header, errors as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ExceptionHandler, Message, Receive, Scope, Send

from gtmc_pipelines.sandbox.salesforce.errors import ApiError, Moved, not_found

Usage = Callable[[HTTPConnection], str | None]


class Door:
    """ASGI application around the routes. `usage` gives the Sforce-Limit-Info of an answer, or None for none."""

    def __init__(self, routes: Sequence[BaseRoute], usage: Usage) -> None:
        self._usage = usage
        handlers: dict[Any, ExceptionHandler] = {ApiError: _refused, Moved: _elsewhere, HTTPException: _no_route}
        self._app = Starlette(routes=routes, exception_handlers=handlers)
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
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
