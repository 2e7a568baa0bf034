"""Vendors that never come to an end, on a raw socket: each mode keeps its caller busy in a way of its own."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits

_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_DRIP_SECONDS = 0.02


def _gzip_without_end() -> Iterator[bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    yield _OK + b"Content-Encoding: gzip\r\n\r\n"
    while True:
        yield packer.compress(b"{}") + packer.flush(zlib.Z_SYNC_FLUSH)


def _dripped(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: itertools.chain(parts[:1], itertools.cycle(parts[1:]))


DRIPS: dict[str, Callable[[], Iterator[bytes]]] = {
    "silent": lambda: iter(()),
    "dripped status": _dripped(b"H", b"T"),
    "dripped headers": _dripped(_OK, b"X"),
    "interim answers, slowly": _dripped(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "dripped body": _dripped(_OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "body without length": _dripped(_OK + b"\r\n", b"x"),
    "dripped chunks": _dripped(_CHUNKED, b"1\r\nx\r\n"),
    "a chunk's size without end": _dripped(_CHUNKED, b"0"),
    "dripped trailers": _dripped(_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n"),
    "gzip without end": _gzip_without_end,
    "gzip members without end": _dripped(_OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
}
"""What is sent piece by piece, slowly; then nothing more, and the connection stays."""

FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "interim answers": _dripped(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 400),
    "headers of interim answers": _dripped(b"", b"HTTP/1.1 100 Continue\r\n" + b"X-A: b\r\n" * 90 + b"\r\n"),
    "trailers": _dripped(_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: b\r\n" * 1000),
    "chunk extensions": _dripped(_CHUNKED, b"1;" + b"e" * 60_000 + b"\r\nx\r\n"),
}
"""What is sent as fast as it is taken."""


@dataclass
class HostileVendor:
    """Listens on loopback and does to every caller what `mode` says; counts whom it still has on the line."""

    mode: str
    open: set[socket.socket] = field(default_factory=set)
    callers: int = 0
    last_left: float = 0.0

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=200)
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def host(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def settings(self, **limits: Any) -> ConnectorSettings:
        """Connector settings that allow this vendor."""
        return ConnectorSettings("acme", "c-1", sandbox_hosts=frozenset({self.host}), http=HttpLimits(**limits))

    def await_callers(self, count: int, seconds: float = 10.0) -> None:
        """Return when so many have called; fails when they don't in time."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.callers >= count, seconds), self.callers

    def await_nobody(self, seconds: float) -> None:
        """Return when no connection is open any more; fails when there is one after so many seconds."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self.open, seconds), f"{len(self.open)} open"

    def close(self) -> None:
        """Hang up on everybody."""
        self._stop.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for each in list(self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                caller, _ = self._server.accept()
            except OSError:
                return
            with self._changed:
                self.open.add(caller)
                self.callers += 1
                self._changed.notify_all()
            self._threads.append(threading.Thread(target=self._answer, args=(caller,)))
            self._threads[-1].start()

    def _answer(self, caller: socket.socket) -> None:
        pieces = (DRIPS.get(self.mode) or FLOODS[self.mode])()
        pause = _DRIP_SECONDS if self.mode in DRIPS else 0.0
        with suppress(OSError):
            for piece in pieces:
                caller.sendall(piece)
                if self._stop.wait(pause):
                    break
            while not self._stop.is_set() and caller.recv(65536):  # the request, then that they have hung up
                pass
        caller.close()
        with self._changed:
            self.open.discard(caller)
            self.last_left = time.monotonic()
            self._changed.notify_all()


@contextmanager
def hostile(mode: str) -> Iterator[HostileVendor]:
    """One for the time of a block."""
    vendor = HostileVendor(mode)
    try:
        yield vendor
    finally:
        vendor.close()
