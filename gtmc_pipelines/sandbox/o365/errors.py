"""Refusals in Microsoft's two wordings: Graph's envelope, and the login host's AADSTS answers."""

from __future__ import annotations

import time
import uuid
from typing import Any

from starlette.responses import JSONResponse, Response


def _stamp(form: str) -> str:
    return time.strftime(form, time.gmtime())


class GraphError(Exception):
    """A refusal of Graph."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}

    def body(self, request_id: str = "", client_id: str = "") -> dict[str, Any]:
        """The envelope; `innerError` repeats the ids of the headers."""
        ids = {"request-id": request_id or str(uuid.uuid4())}
        ids["client-request-id"] = client_id or ids["request-id"]
        inner = {"date": _stamp("%Y-%m-%dT%H:%M:%S"), **ids}
        return {"error": {"code": self.code, "message": self.message, "innerError": inner}}

    def response(self, request_id: str = "", client_id: str = "") -> Response:
        """As an answer."""
        return JSONResponse(self.body(request_id, client_id), self.status, headers=self.headers)


class LoginError(Exception):
    """A refusal of the login host; `number` is the one of its AADSTS code."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(error)
        self.status, self.error, self.number, self.text = status, error, number, text

    def response(self) -> Response:
        """As an answer."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = _stamp("%Y-%m-%d %H:%M:%SZ")
        text = f"AADSTS{self.number}: {self.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        body = {
            "error": self.error,
            "error_description": text,
            "error_codes": [self.number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        return JSONResponse(body, self.status, headers={"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"})


def unknown_user(user: str) -> GraphError:
    """No such user."""
    text = f"Resource '{user}' does not exist or one of its queried reference-property objects are not present."
    return GraphError(404, "Request_ResourceNotFound", text)


def no_mailbox() -> GraphError:
    """A user without Exchange."""
    text = "The mailbox is either inactive, soft-deleted, or is hosted on-premise."
    return GraphError(404, "MailboxNotEnabledForRESTAPI", text)


def no_item() -> GraphError:
    """No such message or folder."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def bad_request(message: str) -> GraphError:
    """A request that can't be understood."""
    return GraphError(400, "BadRequest", message)
