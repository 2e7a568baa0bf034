"""Requests that arrive at the loopback listener: read side by side in one thread, each within its own bounds.

A connection that says nothing, drips or talks without end costs a place among `MOST_OPEN` until its time is up; it
holds up nobody. Nothing of a request is logged: the target carries the login's code.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

MOST_OPEN = 64
"""Connections at once; one more closes the oldest."""
HEAD_BYTES = 16 * 1024
"""Of request line and headers together."""
HEAD_SECONDS = 10.0
"""A connection's time from its acceptance to the end of its headers."""

_ANSWER_SECONDS = 2.0
_PAGE = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>GTM Clarity</title>"
    b"<p>You can close this window and go back to the terminal.</p></html>"
)
_LINE = re.compile(r"([!-~]{1,20}) (/[!-~]*) HTTP/1\.[01]")
_URL = re.compile(r"https?://[!-~]+")


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, to be answered once: by `finish`, `redirect` or `refuse`, which close it."""

    method: str
    target: str
    host: str
    connection: socket.socket

    def finish(self) -> None:
        """Tell the person that they are done here."""
        _answer(self.connection, "200 OK", _PAGE)

    def redirect(self, url: str) -> None:
        """Send the browser on. Raises ValueError for what isn't a plain http(s) address."""
        if not _URL.fullmatch(url):
            raise ValueError("not a plain http(s) address")
        _answer(self.connection, "303 See Other", b"", f"Location: {url}\r\n")

    def refuse(self) -> None:
        """Not found."""
        _answer(self.connection, "404 Not Found", b"")


@dataclass(slots=True)
class _Arrival:
    """A connection whose head isn't whole yet."""

    connection: socket.socket
    until: float
    head: bytes = b""

    def read(self) -> Visit | None:
        """The request, once its head has come; None while it hasn't. Raises ValueError when it never will."""
        try:
            part = self.connection.recv(HEAD_BYTES)
        except BlockingIOError:
            return None
        self.head += part
        end = self.head.find(b"\r\n\r\n")
        if end >= 0 and end <= HEAD_BYTES:
            return _visit(self.head[:end].decode("latin-1"), self.connection)
        if not part or len(self.head) > HEAD_BYTES:
            raise ValueError("no request")
        return None


def visits(sockets: Sequence[socket.socket], until: float) -> Generator[Visit]:
    """Requests as they come in, until the moment `until` of `time.monotonic`. What is still open then is closed."""
    arriving = _Arrivals()
    try:
        for each in sockets:
            each.setblocking(False)
            arriving.ready.register(each, selectors.EVENT_READ)
        while (left := arriving.left(until)) > 0:
            for key, _ in arriving.ready.select(left):
                if key.data is None:
                    arriving.accept(key.fileobj)  # type: ignore[arg-type]  # ours are sockets
                elif (visit := arriving.read(key.data)) is not None:
                    yield visit
            arriving.expire()
    finally:
        arriving.close()


class _Arrivals:
    """The connections whose requests are still coming in, oldest first."""

    def __init__(self) -> None:
        self.ready = selectors.DefaultSelector()
        self._open: dict[int, _Arrival] = {}

    def left(self, until: float) -> float:
        """Seconds to wait at most: to the end, or to when the oldest connection's time is up. 0 at the end."""
        now = time.monotonic()
        if until <= now:
            return 0.0
        oldest = next(iter(self._open.values()), None)
        return max(min(until, oldest.until if oldest else until) - now, 0.001)

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; the oldest one makes room when there are too many."""
        try:
            connection, _ = listener.accept()
        except OSError:  # gone again
            return
        connection.setblocking(False)
        if len(self._open) >= MOST_OPEN:
            self._drop(next(iter(self._open.values())))
        arrival = _Arrival(connection, time.monotonic() + HEAD_SECONDS)
        self._open[connection.fileno()] = arrival
        self.ready.register(connection, selectors.EVENT_READ, arrival)

    def read(self, arrival: _Arrival) -> Visit | None:
        """What a connection has to say, if that is a whole request by now."""
        if self._open.get(arrival.connection.fileno()) is not arrival:  # it made room a moment ago
            return None
        try:
            visit = arrival.read()
        except OSError:
            self._drop(arrival)
            return None
        except ValueError:
            self._forget(arrival)
            _answer(arrival.connection, "404 Not Found", b"")
            return None
        if visit is not None:
            self._forget(arrival)
        return visit

    def expire(self) -> None:
        """Close those whose time is up."""
        now = time.monotonic()
        for arrival in [each for each in self._open.values() if each.until <= now]:
            self._drop(arrival)

    def close(self) -> None:
        """Close them all."""
        for arrival in list(self._open.values()):
            self._drop(arrival)
        self.ready.close()

    def _drop(self, arrival: _Arrival) -> None:
        self._forget(arrival)
        arrival.connection.close()

    def _forget(self, arrival: _Arrival) -> None:
        self.ready.unregister(arrival.connection)
        del self._open[arrival.connection.fileno()]


def _visit(head: str, connection: socket.socket) -> Visit:
    """The request a head describes. Raises ValueError when it is none, or doesn't name exactly one host."""
    line, *fields = head.split("\r\n")
    found = _LINE.fullmatch(line)
    hosts = [value.strip() for name, _, value in (each.partition(":") for each in fields) if name.lower() == "host"]
    if found is None or len(hosts) != 1:
        raise ValueError("no request")
    return Visit(found[1], found[2], hosts[0], connection)


def _answer(connection: socket.socket, status: str, page: bytes, fields: str = "") -> None:
    """Send an answer and close. Whoever doesn't take it in time goes without."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(page)}\r\n{fields}"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError), connection:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # what is left unread would reset the connection, answer and all
            connection.recv(HEAD_BYTES)
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(head.encode("ascii") + page)
        connection.shutdown(socket.SHUT_WR)
