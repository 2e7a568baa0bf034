"""The loopback end of an OAuth login: a listener on 127.0.0.1 that takes one answer and closes (RFC 8252)."""

from __future__ import annotations

import re
import sys
import time
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
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost"})
_START_AGAIN = "Start again with `gtmc connectors connect`."


@dataclass(frozen=True, slots=True)
class Callback:
    """What the login page sent back. `code` is empty where the answer is a consent, told in `parameters`."""

    code: Secret
    state: str
    parameters: dict[str, str] = field(default_factory=dict, repr=False)


class LoopbackListener:
    """Listens from construction on; `redirect_uri` is what to register and to send to the vendor.

    `callback_url` (set by `variable`) fixes port and path where the vendor wants an exact match; without
    it a free port and `/callback` are taken. Raises Misuse when that URL isn't on this machine or its port is taken.
    """

    def __init__(self, callback_url: str | None = None, variable: str = "SALESFORCE_CALLBACK_URL") -> None:
        parts, port = _parted(callback_url or "http://127.0.0.1:0/callback", variable)
        if parts.scheme != "http" or parts.hostname not in _LOCAL_NAMES:
            raise Misuse(
                "callback_not_local",
                "The callback URL doesn't lead to this machine, so the login's answer can't be received here.",
                next_step=f"Set {variable} to http://127.0.0.1:<port>/<path> and register the same.",
            )
        self._path = parts.path or "/"
        try:
            self._server = _Server(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise Misuse(
                "callback_port_taken",
                f"Port {port} of the callback URL can't be used: {error.strerror}.",
                next_step=f"Stop what listens there, or register another port in {variable}.",
            ) from None
        self.redirect_uri = callback_url or f"http://127.0.0.1:{self._server.server_port}{self._path}"

    def wait(self, seconds: float = WAIT_SECONDS) -> Callback:
        """The first request's code and state; then the listener is closed.

        Raises Misuse for a wrong path, missing parameters or no answer in time, and Reauthorize when
        the user or the vendor said no.
        """
        received: list[str] = []
        self._server.received = received  # type: ignore[attr-defined]
        deadline = time.monotonic() + seconds
        with self:
            while not received and (left := deadline - time.monotonic()) > 0:
                self._server.timeout = left
                self._server.handle_request()
        if not received:
            raise Misuse(
                "oauth_no_answer", f"No answer came from the login page in {seconds:.0f} s.", next_step=_START_AGAIN
            )
        return callback_of(received[0], self._path)

    def close(self) -> None:
        """Stop listening."""
        self._server.server_close()

    def __enter__(self) -> LoopbackListener:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _parted(callback_url: str, variable: str) -> tuple[SplitResult, int]:
    """A callback URL's parts and its port: 80 when it names none, 0 for any free one."""
    try:
        parts = urlsplit(callback_url)
        return parts, 80 if parts.port is None else parts.port
    except ValueError:
        raise Misuse(
            "callback_malformed",
            "The callback URL can't be parsed.",
            next_step=f"Set {variable} to http://127.0.0.1:<port>/<path> and register the same.",
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

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing is printed for a broken connection; anything else is our bug and is raised."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            raise error


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
