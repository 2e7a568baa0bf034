"""The Composite resource: several GETs in the body of one request, served one after the other by the same routes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from gtmc_pipelines.sandbox.salesforce.errors import ApiError

if TYPE_CHECKING:
    from gtmc_pipelines.sandbox.salesforce.vendor import SalesforceVendor

MOST_SUBREQUESTS, MOST_QUERIES = 25, 5
_NOT_ALLOWED = frozenset({"accept", "authorization", "content-type"})  # in a subrequest's httpHeaders


class CompositePages:
    """`POST /services/data/vXX.0/composite`; only GET subrequests are imitated, nothing is ever written."""

    def __init__(self, vendor: SalesforceVendor) -> None:
        self._vendor = vendor

    async def composite(self, request: Request) -> Response:
        """One call of the day's quota, however many subrequests; each has its own status and body."""
        self._vendor.authorized(request)
        base = f"/services/data/v{request.path_params['version']}/"
        answers = [await self._served(request, asked) for asked in _subrequests(await request.body(), base)]
        parts = [
            b'{"body":%s,"httpHeaders":{},"httpStatusCode":%d,"referenceId":%s}'
            % (body or b"null", status, json.dumps(reference).encode())
            for reference, status, body in answers
        ]
        body = b'{"compositeResponse":[' + b",".join(parts) + b"]}"
        return Response(body, media_type="application/json;charset=UTF-8")

    async def _served(self, request: Request, asked: dict[str, Any]) -> tuple[str, int, bytes]:
        path, _, query = asked["url"].partition("?")
        head = [(name.encode(), request.headers[name].encode()) for name in ("host", "authorization")]
        head += [(name.lower().encode(), str(value).encode()) for name, value in asked.get("httpHeaders", {}).items()]
        scope = {
            **request.scope,
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": head,
            "sandbox.subrequest": True,
        }
        status, chunks = 0, []

        async def collect(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            chunks.append(message.get("body", b""))

        await self._vendor.app(scope, request.receive, collect)
        return str(asked["referenceId"]), status, b"".join(chunks)


def _subrequests(body: bytes, base: str) -> list[dict[str, Any]]:
    try:
        asked = json.loads(body)["compositeRequest"]
        urls = [str(each["url"]) for each in asked]
        references = {str(each["referenceId"]) for each in asked}
        names = {name.lower() for each in asked for name in each.get("httpHeaders", {})}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ApiError(400, "JSON_PARSER_ERROR", "The body holds no compositeRequest of subrequests") from None
    if not urls or len(urls) > MOST_SUBREQUESTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"At most {MOST_SUBREQUESTS} subrequests are allowed")
    if sum(url.startswith((base + "query", base + "queryAll")) for url in urls) > MOST_QUERIES:
        raise ApiError(400, "LIMIT_EXCEEDED", f"At most {MOST_QUERIES} of them may be queries")
    if len(references) < len(urls) or names & _NOT_ALLOWED:
        raise ApiError(400, "INVALID_FIELD", "Reference ids must differ; some headers can't be set in a subrequest")
    if any(not url.startswith(base) for url in urls) or any(each.get("method") != "GET" for each in asked):
        raise ApiError(400, "INVALID_FIELD", f"Only GET below {base} is imitated")
    return list(asked)
