"""A connection pooler in front of a real PostgreSQL, as much of PgBouncer as our sessions notice.

It listens on loopback and speaks the server's protocol: it refuses the start-up parameter `options`, passes it over,
or serves all its connections with one session of the server, a transaction at a time.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Manner = Literal["refuses", "passes over", "shares"]

_ENCRYPTION = (80877103, 80877104)  # the codes of SSLRequest and GSSENCRequest
_INVENTED = struct.pack("!cIII", b"K", 12, 1, 1)  # BackendKeyData of a process that isn't there


@dataclass
class _Pool:
    manner: Manner
    server: tuple[str, int]
    refusal: str
    shared: list[socket.socket] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def pooler(
    manner: Manner, server: tuple[str, int], refusal: str = "unsupported startup parameter: options"
) -> Iterator[int]:
    """A pooler in front of `server` (host, port); gives its port on 127.0.0.1."""
    pool = _Pool(manner, server, refusal)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, pool), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, pool: _Pool) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_serve, args=(client, pool), daemon=True).start()


def _serve(client: socket.socket, pool: _Pool) -> None:
    with client, suppress(OSError, EOFError):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each small message waits 40 ms
        startup = _startup(client)
        if pool.manner == "refuses" and b"options" in startup:
            client.sendall(_error(pool.refusal))
            return
        with socket.create_connection(pool.server) as session:
            session.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session.sendall(_message(b"", struct.pack("!I", 196608) + b"\0".join(_kept(startup)) + b"\0\0"))
            _log_in(client, session)
            pool.shared.append(session)
            while True:
                _turn(client, pool.shared[0] if pool.manner == "shares" else session, pool)


def _startup(client: socket.socket) -> list[bytes]:
    """Names and values of the start-up message; encryption is declined."""
    while True:
        (length,) = struct.unpack("!I", _exactly(client, 4))
        body = _exactly(client, length - 4)
        if struct.unpack("!I", body[:4])[0] not in _ENCRYPTION:
            return body[4:].rstrip(b"\0").split(b"\0")
        client.sendall(b"N")


def _kept(startup: list[bytes]) -> list[bytes]:
    pairs = zip(startup[::2], startup[1::2], strict=True)
    return [word for name, value in pairs if name != b"options" for word in (name, value)]


def _log_in(client: socket.socket, session: socket.socket) -> None:
    """Carries the login to and fro until the session is ready, under a process of our own invention."""
    while True:
        kind, message = _next(session)
        client.sendall(_INVENTED if kind == b"K" else message)
        if kind == b"Z":
            return
        is_asked = kind == b"R" and struct.unpack("!I", message[5:9])[0] in (3, 5, 10, 11)
        if is_asked:  # a password or a step of SCRAM; 0 and 12 need no answer
            session.sendall(_next(client)[1])


def _turn(client: socket.socket, session: socket.socket, pool: _Pool) -> None:
    """One transaction: the session is the client's until the server says that it is idle."""
    first = _next(client)
    with pool.turn:
        state, waiting = b"T", [first]
        while state != b"I":
            kind, message = waiting.pop() if waiting else _next(client)
            if kind == b"X":
                raise EOFError
            session.sendall(message)
            if kind in (b"Q", b"S"):
                state = _answer(client, session)


def _answer(client: socket.socket, session: socket.socket) -> bytes:
    while True:
        kind, message = _next(session)
        client.sendall(message)
        if kind == b"Z":
            return message[5:6]


def _next(source: socket.socket) -> tuple[bytes, bytes]:
    """The next message: its kind, and all of it."""
    kind = _exactly(source, 1)
    head = _exactly(source, 4)
    return kind, kind + head + _exactly(source, struct.unpack("!I", head)[0] - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = source.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _error(sentence: str) -> bytes:
    return _message(b"E", b"SFATAL\0VFATAL\0C08P01\0M" + sentence.encode() + b"\0\0")
