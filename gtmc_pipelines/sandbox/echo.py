"""An error that gives back what it was sent: what no vendor should do, and some proxies and debug modes do."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope

from gtmc_pipelines.sandbox.knobs import Knob

ECHO = "{echo}"


async def echoed(knob: Knob, scope: Scope, receive: Receive) -> Response:
    """The knob's `words` with headers, query and body of the request wherever they say `{echo}`."""
    request = Request(scope, receive)
    headers = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
    sent = f"{headers} {request.url.query} {(await request.body()).decode('utf-8', 'replace')}"
    words = knob.parameters.get("words", {"error": ECHO})
    body = json.dumps(words).replace(ECHO, json.dumps(sent)[1:-1])
    return JSONResponse(json.loads(body), int(knob.parameters.get("status", 401)))
