"""Attacks on Dagster's webserver from a page of another site: all that a browser can be made to send.

Behind the guard stands Dagster's own reading of GraphQL requests (its server class) over a schema of one mutation.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import graphene
from dagster_webserver.graphql import GraphQLServer
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute

from gtmc_pipelines.defs.guard import Guard, own_addresses
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.stage import Stage

_OWN_HOST, _OWN_ORIGIN = "127.0.0.1:3000", "http://127.0.0.1:3000"
_SAFELISTED = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "")
_ORIGINS = (
    "null",
    "http://evil.example",
    "http://127.0.0.1:3001",
    "https://127.0.0.1:3000",
    "http://localhost.evil:3000",
)
_HOSTS = ("evil.example:3000", "127.0.0.1.nip.io:3000", "localhost:3001", "0.0.0.0:3000", "[::ffff:127.0.0.1]:3000", "")
_PATHS = ("/graphql", "/graphql", "/graphql", "/graphql/", "//graphql", "/GraphQL", "/./graphql", "/graphql;x")
_KEYS = (
    "query",
    "query",
    "query",
    "%71uery",
    "qu%65ry",
    "QUERY",
    "query[]",
    "x&query",
    "x;query",
    "&&query",
    "op&op&query",
)
_MUTATION = "mutation { fire }"


class _Webserver(GraphQLServer):  # type: ignore[type-arg]
    """Dagster's server over one mutation, and its way of taking reports by POST; `fired` counts what was done."""

    fired = 0

    def build_graphql_schema(self) -> graphene.Schema:
        server = self

        class Mutation(graphene.ObjectType):
            fire = graphene.Boolean()

            def resolve_fire(self, _info: Any) -> bool:
                server.fired += 1
                return True

        class Query(graphene.ObjectType):
            version = graphene.String()

        return graphene.Schema(query=Query, mutation=Mutation)

    def build_graphql_middleware(self) -> list[Any]:
        return []

    def build_middleware(self) -> list[Any]:
        return []

    def build_routes(self) -> list[Any]:
        async def report(_request: Any) -> PlainTextResponse:
            self.fired += 1
            return PlainTextResponse("{}")

        return [
            Route("/graphql", self.graphql_http_endpoint, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self.graphql_ws_endpoint),
            Route("/report_asset_materialization/{key:path}", report, methods=["POST"]),
        ]

    def _make_request_context(self, conn: Any) -> Any:
        return nullcontext()


class PageAttack:
    """Sends what a foreign page could have a browser send, and what our own page sends to see that it still works."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._server = loop, _Webserver()
        app = Starlette(routes=self._server.build_routes())
        self._guarded = Guard(app, own_addresses(3000))

    def attempt(self, dice: Random) -> Tried:
        """One request or one websocket."""
        forms = (self._link, self._image, self._form, self._fetch, self._rebound, self._socket, self._report)
        form = dice.choice((*forms, self._own_page))
        name, before = form.__name__.strip("_").replace("_", " "), self._server.fired
        scope, body = form(dice)
        was_taken = self._loop.run_until_complete(self._ask(scope, body)) or self._server.fired > before
        if form == self._own_page:
            return Tried(name, None if was_taken else f"our own page is refused: {scope['headers']}")
        return Tried(
            name, f"{scope['method']} {scope['path']} {scope['query_string']} {scope['headers']}" if was_taken else None
        )

    def aftermath(self) -> list[str]:
        """None: what is done is counted at once."""
        return []

    def _link(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        """Followed in a window of its own: allowed to open pages, so the address must not do anything."""
        return _scope("GET", *_address(dice), _fetched(dice, "cross-site", "navigate", "document")), b""

    def _image(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        where = dice.choice(("image", "script", "style", "iframe", "audio", "empty"))
        mode = "navigate" if where == "iframe" else "no-cors"
        site = dice.choice(("cross-site", "same-site", "none" if dice.random() < 0.5 else "same-origin"))
        return _scope(dice.choice(("GET", "HEAD")), *_address(dice), _fetched(dice, site, mode, where)), b""

    def _form(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        kind = dice.choice((*_SAFELISTED, "text/plain; x=application/json", "text/plain;application/json", "text/json"))
        headers = [*_fetched(dice, "cross-site", "navigate", "document"), ("content-type", kind)]
        path, query = _address(dice) if dice.random() < 0.7 else (dice.choice(_PATHS), "")
        headers += [("origin", dice.choice(_ORIGINS))] if dice.random() < 0.7 else []
        return _scope("POST", path, query, headers), _body(dice)

    def _fetch(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        """By script: without being asked first only these types; with other types the browser asks by OPTIONS."""
        kind = dice.choice(
            (*_SAFELISTED, "text/plain; charset=application/json", "application/json", "application/graphql")
        )
        needs_leave = kind.startswith("application/") and "urlencoded" not in kind
        method = "OPTIONS" if needs_leave else dice.choice(("POST", "GET", "HEAD"))
        headers = [
            *_fetched(dice, "cross-site", "cors", "empty"),
            ("origin", dice.choice(_ORIGINS)),
            ("content-type", kind),
        ]
        return _scope(method, *_address(dice), headers), _body(dice)

    def _rebound(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        """The page's own name leads to 127.0.0.1 now: for the browser all is one site, only the name is foreign."""
        host = dice.choice(_HOSTS)
        headers = [*_fetched(dice, "same-origin", "cors", "empty"), ("content-type", "application/json")]
        headers += [("origin", f"http://{host}")] if dice.random() < 0.8 else []
        more = [("host", _OWN_HOST)] if dice.random() < 0.1 else []
        return _scope("POST", "/graphql", "", [*headers, *more], host), json.dumps({"query": _MUTATION}).encode()

    def _socket(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        is_rebound = dice.random() < 0.3
        host = dice.choice(_HOSTS) if is_rebound else _OWN_HOST
        headers = [("origin", f"http://{host}" if is_rebound else dice.choice(_ORIGINS))]
        headers += _fetched(dice, "cross-site", "websocket", "websocket") if dice.random() < 0.5 else []
        scope = _scope("GET", "/graphql", "", headers, host)
        return {**scope, "type": "websocket", "subprotocols": ["graphql-ws"]}, b""

    def _report(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        headers = [("content-type", dice.choice(_SAFELISTED)), *_fetched(dice, "cross-site", "no-cors", "empty")]
        headers += [("origin", dice.choice(_ORIGINS))] if dice.random() < 0.7 else []
        return _scope("POST", "/report_asset_materialization/salesforce", "partition=acme", headers), _body(dice)

    def _own_page(self, dice: Random) -> tuple[dict[str, Any], bytes]:
        headers = [
            ("origin", _OWN_ORIGIN),
            ("content-type", dice.choice(("application/json", "application/json; charset=utf-8"))),
        ]
        headers += _fetched(dice, "same-origin", "cors", "empty")
        return _scope("POST", "/graphql", "op=Fire", headers), json.dumps({"query": _MUTATION}).encode()

    async def _ask(self, scope: dict[str, Any], body: bytes) -> bool:
        """Send it, and again where it is redirected to; True when a websocket was accepted."""
        sent: list[dict[str, Any]] = []
        messages = [{"type": "websocket.connect"}] if scope["type"] == "websocket" else []
        messages += [{"type": "http.request", "body": body}, {"type": "websocket.disconnect", "code": 1000}]

        async def receive() -> dict[str, Any]:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        if scope["type"] == "websocket":
            messages.pop(1)
        await self._guarded(scope, receive, send)
        first = sent[0] if sent else {"type": ""}
        target = dict(first.get("headers", ())).get(b"location", b"").decode("latin-1")
        if target and first.get("status") in {307, 308}:
            parts = urlsplit(target)
            return await self._ask({**scope, "path": parts.path, "query_string": parts.query.encode()}, body)
        return bool(first["type"] == "websocket.accept")


def _address(dice: Random) -> tuple[str, str]:
    value = dice.choice(
        (quote(_MUTATION), _MUTATION.replace(" ", "+"), quote("mutation M { fire }") + "&operationName=M")
    )
    return dice.choice(_PATHS), f"{dice.choice(_KEYS)}={value}"


def _body(dice: Random) -> bytes:
    return dice.choice((json.dumps({"query": _MUTATION}), f"query={quote(_MUTATION)}", _MUTATION, "")).encode()


def _fetched(dice: Random, site: str, mode: str, where: str) -> list[tuple[str, str]]:
    """What a browser says of itself; older ones say nothing."""
    if dice.random() < 0.4:
        return []
    return [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", where)]


def _scope(method: str, path: str, query: str, headers: list[tuple[str, str]], host: str = _OWN_HOST) -> dict[str, Any]:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in [("host", host), *headers]]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": raw,
        "server": ("127.0.0.1", 3000),
        "client": ("127.0.0.1", 50_000),
    }


@contextmanager
def _opened(_stage: Stage) -> Iterator[PageAttack]:
    loop = asyncio.new_event_loop()
    try:
        yield PageAttack(loop)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


KIND = Kind("pages", "a page of another site makes Dagster do something", 5_000, 300, _opened)
