"""The guard in front of Dagster's webserver: it lets pass what came from Dagster's own pages or from no page at all.

Dagster's webserver has no login, asks neither Origin nor Host, and takes mutations by GET: without the guard any page
that is open in an engineer's browser could start, end and read syncs, by a link, a form, an image or a socket. The
guard is plain ASGI, and decides by the request's head alone.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PLACE = r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
_HOST = re.compile(_PLACE)
_ORIGIN = re.compile(rf"(?P<scheme>https?)://{_PLACE}")
_SEPARATORS = re.compile(r"[&;]")
_POLICY = (
    "frame-ancestors 'none'; img-src 'self' data: blob:; media-src 'self'; font-src 'self' data:; frame-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'"
)
ANSWER_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-frame-options": b"DENY",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"referrer-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}
"""On every answer. Dagster's own content policy stays beside ours: a browser obeys both."""

FOREIGN_HOST = (
    "This address is not one of Dagster's. Open http://127.0.0.1 with its port, or name the address in "
    "GTMC_DAGSTER_ADDRESSES."
)
FOREIGN_ORIGIN = "Another page's request is refused. Pages of Dagster at another address: GTMC_DAGSTER_ADDRESSES."
FOREIGN_SITE = "Another site may link to Dagster's pages; it may neither frame them nor call them."
ASKED_BY_ADDRESS = "GraphQL in an address is refused. Send it by POST, as application/json."
NOT_JSON = "Only GET and requests with the content type application/json are taken."


@dataclass(frozen=True)
class Address:
    """What stands in the address line before the path; `host` in lower case, IPv6 in brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, origin: str) -> Address | None:
        """Read `http://host:port`; None when it is anything else, `null` among them."""
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None:
            return None
        return cls(found["scheme"], found["host"], int(found["port"] or _DEFAULT_PORTS[found["scheme"]]))

    def is_named_by(self, host: str) -> bool:
        """Whether a Host header is this address's."""
        found = _HOST.fullmatch(host.lower())
        if found is None or found["host"] != self.host:
            return False
        return int(found["port"] or _DEFAULT_PORTS[self.scheme]) == self.port


def own_addresses(port: int, more: Iterable[str] = ()) -> frozenset[Address]:
    """This machine's own names with the webserver's port, and `more` addresses people open it at."""
    loopback = [Address("http", host, port) for host in ("127.0.0.1", "localhost", "[::1]")]
    others = [Address.of("/".join(url.split("/", 3)[:3])) for url in more]
    return frozenset([*loopback, *(other for other in others if other is not None)])


def refusal(scope: Scope, own: frozenset[Address]) -> str | None:
    """Why a request or a websocket is refused, in a sentence for who sent it; None when it may pass."""
    hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
    if len(hosts) != 1 or not any(address.is_named_by(hosts[0]) for address in own):
        return FOREIGN_HOST
    if origins and (len(origins) > 1 or Address.of(origins[0]) not in own):
        return FOREIGN_ORIGIN
    if not _is_from_here(scope) and not _is_visit(scope):
        return FOREIGN_SITE
    if _asks_by_address(scope):
        return ASKED_BY_ADDRESS
    if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") and not _is_json(scope):
        return NOT_JSON
    return None


def _is_from_here(scope: Scope) -> bool:
    """Whether the browser says that our own page or its user sent it, or no browser did that says so."""
    return _values(scope, b"sec-fetch-site") in ([], ["same-origin"], ["none"])


def _is_visit(scope: Scope) -> bool:
    """Whether it opens a page in a window of its own, as a link in a message does."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and _values(scope, b"sec-fetch-mode") == ["navigate"]
        and _values(scope, b"sec-fetch-dest") == ["document"]
    )


def _asks_by_address(scope: Scope) -> bool:
    """Whether the address of the GraphQL endpoint holds a query, which Dagster would run by whatever method."""
    if scope["path"].rstrip("/").rpartition("/")[2].lower() != "graphql":
        return False
    parts = _SEPARATORS.split(scope.get("query_string", b"").decode("latin-1"))
    return any(unquote_plus(part.partition("=")[0]).strip().lower() == "query" for part in parts)


def _is_json(scope: Scope) -> bool:
    """Whether the content type is one no page may send to another site unasked; a parameter doesn't make it one."""
    return [value.partition(";")[0].strip().lower() for value in _values(scope, b"content-type")] == [
        "application/json"
    ]


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]


class Guard:
    """The ASGI application in front of another. `own` are the addresses that application is opened at."""

    def __init__(self, app: App, own: frozenset[Address]) -> None:
        self._app = app
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or answer 403. A refused websocket is closed before it was accepted, which is a 403, too."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif (reason := refusal(scope, self._own)) is None:
            await self._app(scope, receive, _sealing(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
        else:
            await _refuse(_sealing(send), reason)


def _sealing(send: Send) -> Send:
    """`send` with our headers on the answer, in place of the application's (its content policy excepted)."""

    async def sealed(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", ())
                if name.lower() not in ANSWER_HEADERS or name.lower() == b"content-security-policy"
            ]
            message = {**message, "headers": [*kept, *ANSWER_HEADERS.items()]}
        await send(message)

    return sealed


async def _refuse(send: Send, reason: str) -> None:
    body = f"{reason}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
