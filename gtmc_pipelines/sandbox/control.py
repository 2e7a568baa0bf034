"""The control pages under /_sandbox: mutate, truth, journal, knobs, reset, docs. Made for curl."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gtmc_pipelines.sandbox.docs import docs_of
from gtmc_pipelines.sandbox.journal import Journal, as_json
from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.vendor import Mutation, Vendor

ACTIONS = ("create", "update", "delete", "undelete", "purge")


class Control:
    """Handlers of the control pages; the vendor is the one on whose port the page is asked."""

    def __init__(self, journal: Journal, knobs: Knobs, changed: Callable[[], None]) -> None:
        self._journal, self._knobs, self._changed = journal, knobs, changed
        self.app = Starlette(
            routes=[
                Route("/_sandbox", self.docs),
                Route("/_sandbox/docs", self.docs),
                Route("/_sandbox/mutate", self.mutate, methods=["POST"]),
                Route("/_sandbox/truth", self.truth),
                Route("/_sandbox/journal", self.journal, methods=["GET", "DELETE"]),
                Route("/_sandbox/knobs", self.knobs, methods=["GET", "PUT", "POST", "DELETE"]),
                Route("/_sandbox/knobs/{knob}", self.knob, methods=["DELETE"]),
                Route("/_sandbox/reset", self.reset, methods=["POST"]),
            ],
            exception_handlers={SandboxMisuse: _refused},
        )

    async def docs(self, request: Request) -> Response:
        """What can be asked, as Markdown."""
        return PlainTextResponse(docs_of(_vendor(request)), media_type="text/markdown")

    async def mutate(self, request: Request) -> Response:
        """Change vendor data as the vendor's own users would."""
        vendor = _vendor(request)
        wish = await _json(request)
        skew = self._knobs.standing("clock_skew", vendor.name, wish.get("org"))
        now_ms = int((time.time() + float(skew.parameters.get("seconds", 0) if skew else 0)) * 1000)
        mutation = _mutation(wish, vendor, now_ms)
        ids = vendor.mutate(mutation)
        self._changed()
        return JSONResponse(
            {"org": mutation.org, "object": mutation.object, "action": mutation.action, "count": len(ids), "ids": ids}
        )

    async def truth(self, request: Request) -> Response:
        """Counts and digests of an org; or, with `object`, its live records."""
        vendor, asked = _vendor(request), request.query_params
        org = _org(asked.get("org"), vendor)
        if kind := asked.get("object"):
            if kind not in vendor.truth(org):
                raise SandboxMisuse(f"{vendor.name} has no object {kind!r}.")
            limit = _whole(asked, "limit", None)
            lines = vendor.live_records(org, kind, _whole(asked, "offset", 0) or 0, limit)
            if asked.get("format") == "ndjson" or "ndjson" in request.headers.get("accept", "") or limit is None:
                return StreamingResponse(lines, media_type="application/x-ndjson")
            body = b"".join([chunk async for chunk in lines]).rstrip(b"\n").replace(b"\n", b",")
            return Response(b'{"records":[' + body + b"]}", media_type="application/json")
        objects = vendor.truth(org)
        if asked.get("digest") != "false":
            for name, summary in objects.items():
                digest = hashlib.sha256()
                async for chunk in vendor.live_records(org, name, 0, None):
                    digest.update(chunk)
                summary["digest"] = digest.hexdigest()
        return JSONResponse({"vendor": vendor.name, "org": org, "objects": objects})

    async def journal(self, request: Request) -> Response:
        """Requests served since a number, or forget them all."""
        if request.method == "DELETE":
            self._journal.clear()
            return JSONResponse({"cleared": True, "last_seq": self._journal.last_seq})
        asked = request.query_params
        vendor = _vendor(request).name if asked.get("vendor") is None else asked["vendor"]
        entries = self._journal.since(
            _whole(asked, "since", 0) or 0,
            vendor=None if vendor == "all" else vendor,
            org=asked.get("org"),
            path=asked.get("path"),
        )
        limit = _whole(asked, "limit", 1000)
        return JSONResponse({**as_json(entries, limit or 0), "last_seq": self._journal.last_seq})

    async def knobs(self, request: Request) -> Response:
        """Show, add (POST), replace (PUT) or clear (DELETE) the fault knobs."""
        if request.method == "POST":
            self._knobs.add({"vendor": _vendor(request).name, **await _json(request)})
        elif request.method == "PUT":
            wishes = await _json(request, either=True)
            wishes = wishes.get("knobs", []) if isinstance(wishes, dict) else wishes
            self._knobs.replace({"vendor": _vendor(request).name, **wish} for wish in wishes)
        elif request.method == "DELETE":
            self._knobs.remove()
        return JSONResponse({"knobs": [knob.as_json() for knob in self._knobs]})

    async def knob(self, request: Request) -> Response:
        """Switch one knob off."""
        return JSONResponse({"removed": self._knobs.remove(request.path_params["knob"])})

    async def reset(self, request: Request) -> Response:
        """This vendor's data, grants and jobs back to the seeded beginning; its knobs off; the journal empty."""
        _vendor(request).reset()
        self._knobs.remove()
        self._journal.clear()
        self._changed()
        return JSONResponse({"reset": _vendor(request).name})


def _vendor(request: Request) -> Vendor:
    vendor: Vendor = request.scope["sandbox.vendor"]
    return vendor


def _org(name: object, vendor: Vendor) -> str:
    if name not in vendor.orgs:
        raise SandboxMisuse(f"There is no org {name!r}; known are {', '.join(vendor.orgs)}.")
    return str(name)


def _whole(asked: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = asked.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise SandboxMisuse(f"{name} must be a whole number.")
    return int(text)


async def _json(request: Request, *, either: bool = False) -> Any:
    try:
        value = json.loads(await request.body() or b"{}")
    except ValueError:
        raise SandboxMisuse("The body is not JSON.") from None
    if not (isinstance(value, dict) or (either and isinstance(value, list))):
        raise SandboxMisuse("The body must be a JSON object.")
    return value


def _mutation(wish: Mapping[str, Any], vendor: Vendor, now_ms: int) -> Mutation:
    if wish.get("action") not in ACTIONS:
        raise SandboxMisuse(f"action must be one of {', '.join(ACTIONS)}.")
    stamp = wish.get("stamp")
    try:
        moment = datetime.fromisoformat(stamp) if stamp else None
        count = int(wish.get("count", 1))
    except (TypeError, ValueError):
        raise SandboxMisuse("stamp must be an ISO time with a zone and count a whole number.") from None
    if moment is not None and moment.tzinfo is None:
        raise SandboxMisuse("stamp needs a zone, for example 2026-07-01T12:00:00Z.")
    return Mutation(
        org=_org(wish.get("org"), vendor),
        object=str(wish.get("object")),
        action=str(wish["action"]),
        count=count,
        ids=tuple(str(one) for one in wish.get("ids") or ()),
        fields=wish.get("fields") or {},
        stamp_ms=now_ms if moment is None else int(moment.timestamp() * 1000),
    )


async def _refused(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error), "docs": "/_sandbox/docs"}, status_code=400)
