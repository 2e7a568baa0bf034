"""A vendor on loopback that answers from a script: each answer is a function of the socket's handler."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits

Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    """A whole answer; underscores in header names become dashes."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return send


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    """Promise a hundred bytes, send three, hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"abc")
    handler.close_connection = True


@dataclass
class ScriptedVendor:
    """Answers in the order scripted, the last one for ever; `seen` are request lines and headers."""

    script: deque[Answer] = field(default_factory=deque)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                vendor.seen.append((f"{self.command} {self.path}", dict(self.headers)))
                chosen = vendor.script[0] if len(vendor.script) == 1 else vendor.script.popleft()
                chosen(self)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def settings(self, **limits: Any) -> ConnectorSettings:
        """Connector settings that allow this vendor."""
        return ConnectorSettings("acme", "c-1", sandbox_hosts=frozenset({self.host}), http=HttpLimits(**limits))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
