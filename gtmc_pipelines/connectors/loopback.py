"""The loopback end of an OAuth login: a listener on this machine that takes one answer and closes (RFC 8252).

Vendors accept plain http for the word `localhost` alone (Salesforce: "Cannot be an HTTP URL"; Microsoft Entra has the
same rule), and a browser resolves that word to 127.0.0.1 or to ::1 as it likes. So the listener takes both, or
neither: on one of them alone the code could be delivered to whoever has the other.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

WAIT_SECONDS = 120.0
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>GTM Clarity</title>"
    b"<p>You can close this window and go back to the terminal.</p></html>"
)
_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_ADDRESSES = {"localhost": ("127.0.0.1", "::1"), "127.0.0.1": ("127.0.0.1",), "::1": ("::1",)}
_ABSENT = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT})
_ATTEMPTS = 20  # to find a port that is free on both addresses
_START_AGAIN = "Start again with `gtmc connectors connect`."


@dataclass(frozen=True, slots=True)
class Callback:
    """What the login page sent back. `code` is empty where the answer is a consent, told in `parameters`."""

    code: Secret
    state: str
    parameters: dict[str, str] = field(default_factory=dict, repr=False)


class LoopbackListener:
    """Listens from construction on; `redirect_uri` is what to register and to send to the vendor.

    `callback_url` (set by `variable`) is used as it is, since vendors want an exact match; port 0 takes any free one.
    `localhost` is 127.0.0.1 and ::1. An address this machine doesn't have is left out, so a machine without IPv6
    listens on 127.0.0.1 alone: nobody else can be on the other one. Raises Misuse when the URL isn't on this machine,
    or when its port is taken on one of the two: the sentence says on which.
    """

    def __init__(
        self, callback_url: str = "http://localhost:0/callback", variable: str = "SALESFORCE_CALLBACK_URL"
    ) -> None:
        parts, port = _parted(callback_url, variable)
        host = parts.hostname or ""
        if parts.scheme != "http" or host not in _ADDRESSES:
            raise Misuse(
                "callback_not_local",
                "The callback URL doesn't lead to this machine, so the login's answer can't be received here.",
                next_step=f"Set {variable} to {_FORM} and register the same.",
            )
        self._path = parts.path or "/"
        self._servers = listening(_ADDRESSES[host], port, variable)
        shown = f"[{host}]" if ":" in host else host
        taken = f"http://{shown}:{self._servers[0].server_port}{self._path}"
        self.redirect_uri = callback_url if port else taken

    def wait(self, seconds: float = WAIT_SECONDS) -> Callback:
        """The first request's code and state; then the listener is closed.

        Raises Misuse for a wrong path, missing parameters or no answer in time (`oauth_no_answer`), and Reauthorize
        when the user or the vendor said no.
        """
        received: list[str] = []
        deadline = time.monotonic() + seconds
        with self, selectors.DefaultSelector() as ready:
            for server in self._servers:
                server.received = received
                ready.register(server, selectors.EVENT_READ, server)
            while not received and (left := deadline - time.monotonic()) > 0:
                for key, _ in ready.select(left):
                    key.data.handle_request()
        if not received:
            raise Misuse(
                "oauth_no_answer", f"No answer came from the login page in {seconds:.0f} s.", next_step=_START_AGAIN
            )
        return callback_of(received[0], self._path)

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.server_close()

    def __enter__(self) -> LoopbackListener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def listening(addresses: Sequence[str], port: int, variable: str) -> list[_Server]:
    """A server on each of these addresses that this machine has, all on one port; 0 is any that is free on all.

    Raises Misuse `callback_port_taken` otherwise, and leaves nothing open.
    """
    for attempt in range(1 if port else _ATTEMPTS):
        servers: list[_Server] = []
        try:
            for address in addresses:
                wanted = servers[0].server_port if servers else port
                if (server := _listening_on(address, wanted)) is not None:
                    servers.append(server)
        except OSError as error:
            for server in servers:
                server.server_close()
            if port or attempt == _ATTEMPTS - 1:
                raise _taken(wanted, address, error, variable) from None
            continue
        if servers:
            return servers
    raise Misuse(
        "no_loopback_address",
        f"This machine has none of {', '.join(addresses)}, so the login's answer can't be received here.",
        next_step="Connect on another machine, or switch its loopback interface on.",
    )


def _listening_on(address: str, port: int) -> _Server | None:
    """A server there; None when this machine has no such address. Raises OSError when the port can't be had."""
    try:
        return (_Server6 if ":" in address else _Server)((address, port), _Handler)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def _taken(port: int, address: str, error: OSError, variable: str) -> Misuse:
    if error.errno != errno.EADDRINUSE:
        return Misuse(
            "callback_port_taken",
            f"Port {port} of the callback URL can't be used on {address}: {error.strerror}.",
            next_step=f"Register another port and set {variable} to it.",
        )
    return Misuse(
        "callback_port_taken",
        f"Port {port} of the callback URL is taken on {address}: another program listens there.",
        next_step=f"Wait for another login to end, or find the program (`lsof -nP -i :{port}`) and stop it; "
        f"or register another port and set {variable} to it.",
    )


_FORM = "http://localhost:<port>/<path>"


def _parted(callback_url: str, variable: str) -> tuple[SplitResult, int]:
    """A callback URL's parts and its port: 80 when it names none, 0 for any free one."""
    try:
        parts = urlsplit(callback_url)
        return parts, 80 if parts.port is None else parts.port
    except ValueError:
        raise Misuse(
            "callback_malformed",
            "The callback URL can't be parsed.",
            next_step=f"Set {variable} to {_FORM} and register the same.",
        ) from None


def callback_of(target: str, path: str) -> Callback:
    """Code and state of a request target like `/callback?code=…&state=…`. Raises as `wait` does."""
    parts = urlsplit(target)
    values = {name: found[0] for name, found in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.path != path:
        raise Misuse(
            "oauth_wrong_path",
            "The login page came back to another path than the registered callback.",
            next_step="Register exactly the callback URL that is used, or correct the setting that names it.",
        )
    if "error" in values:
        code = values["error"] if _ERROR_CODE.fullmatch(values["error"]) else "unknown"
        raise Reauthorize("oauth_denied", f"The login was not granted ({code}).", next_step=_START_AGAIN)
    if not (values.get("code") or values.get("admin_consent")) or not values.get("state"):
        raise Misuse("oauth_incomplete", "The login page's answer carries no code or no state.", next_step=_START_AGAIN)
    rest = {name: value for name, value in values.items() if name not in {"code", "state"}}
    return Callback(Secret(values.get("code", "")), values["state"], rest)


class _Server(HTTPServer):
    """One request at a time. A connection that breaks, as browsers' early ones do, leaves the login waiting."""

    timeout = 0  # it is asked only once a connection is there
    allow_reuse_address = os.name == "posix"  # elsewhere that would share the port with a stranger
    received: list[str]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is printed for a broken connection; anything else is our bug and is raised."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            raise error


class _Server6(_Server):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


class _Handler(BaseHTTPRequestHandler):
    """Answers with a fixed page and notes the request target; parameters are never echoed or logged."""

    timeout = 10.0

    def do_GET(self) -> None:
        if self.path == "/favicon.ico":
            self.send_error(404)
            return
        self.server.received.append(self.path)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(_PAGE)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(_PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the target carries the code."""
