"""One deadline for each HTTP request, from before the connect to the last byte, kept by cutting its connections.

A socket's time-out bounds one read: endless interim answers, dripped headers, trailers or bodies, a handshake or a
tunnel that never ends outlast it. A deadline holds a handle of its own on every socket of its request. When time is
up, or the session is closed, the sockets are shut down, and whatever thread waits in one gets an error at once.
One thread watches all deadlines of a process.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_AT_ONCE = 0.01  # as good as now, for a time-out that must not be zero


class Deadline:
    """The end of one request, `seconds` from now. Safe to use from several threads."""

    def __init__(self, seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self._handles: list[socket.socket] = []
        self.thread = threading.current_thread()
        self._is_cut = False
        self._lock = threading.Lock()

    @property
    def is_cut(self) -> bool:
        """Whether its sockets were shut down: an answer that ended with its connection may not be whole."""
        return self._is_cut

    @property
    def is_over(self) -> bool:
        """Whether the time is up or somebody has cut it short."""
        return self._is_cut or time.monotonic() >= self.ends_at

    @property
    def seconds_left(self) -> float:
        """Seconds to its end; a hundredth once it is over."""
        return _AT_ONCE if self.is_over else max(_AT_ONCE, self.ends_at - time.monotonic())

    def hold(self, sock: socket.socket) -> None:
        """Shut this socket down, too, when it comes to that; the socket's owner stays its owner."""
        handle = socket.socket(fileno=os.dup(sock.fileno()))  # a number of our own: it can't become another's
        with self._lock:
            self._handles.append(handle)
            if self._is_cut:
                _shut_down(handle)

    def cut(self) -> None:
        """End the request now."""
        with self._lock:
            self._is_cut = True
            for handle in self._handles:
                _shut_down(handle)

    def let_go(self) -> None:
        """The request has ended: forget its sockets."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()


class _Watch:
    """The thread that cuts what is over; started by the first deadline, again in a forked child."""

    def __init__(self) -> None:
        self._running: set[Deadline] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.add(deadline)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="http-deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.discard(deadline)

    def of(self, thread: threading.Thread) -> list[Deadline]:
        with self._changed:
            return [each for each in self._running if each.thread is thread]

    def _work(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                over = [each for each in self._running if each.ends_at <= now]
                self._running.difference_update(over)
                for each in over:
                    each.cut()
                self._changed.wait(min((each.ends_at - now for each in self._running), default=None))


_watch = _Watch()
_of_thread = threading.local()


@contextmanager
def within(deadline: Deadline) -> Iterator[Deadline]:
    """Whatever this thread connects to meanwhile is held by `deadline`."""
    before = current()
    _of_thread.deadline = deadline
    _watch.add(deadline)
    try:
        yield deadline
    finally:
        _of_thread.deadline = before
        _watch.remove(deadline)
        deadline.let_go()


def cut_requests_of(thread: threading.Thread) -> None:
    """End the requests a thread is in the middle of."""
    for deadline in _watch.of(thread):
        deadline.cut()


def current() -> Deadline | None:
    """The deadline of the request this thread is in the middle of."""
    return getattr(_of_thread, "deadline", None)


def create_connection(
    address: tuple[str, int], timeout: Any, source_address: Any = None, socket_options: Any = None
) -> socket.socket:
    """As urllib3's: a connection to the first address of a host that answers. The deadline holds it before it dials.

    `timeout` is for each address. Raises OSError: of the last address, or TimeoutError when the deadline is over.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(*address, 0, socket.SOCK_STREAM):
        deadline = current()
        if deadline is not None and deadline.is_over:
            raise TimeoutError("the request's time is up")
        sock = socket.socket(family, kind, protocol)
        try:
            for option in socket_options or ():
                sock.setsockopt(*option)
            if deadline is not None:
                deadline.hold(sock)
            seconds = timeout if isinstance(timeout, int | float) else None
            left = deadline.seconds_left if deadline is not None else seconds
            sock.settimeout(left if seconds is None else min(seconds, left or seconds))
            if source_address:
                sock.bind(source_address)
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure or OSError("the host has no address")


def _shut_down(handle: socket.socket) -> None:
    with suppress(OSError):  # not connected yet, or not any more
        handle.shutdown(socket.SHUT_RDWR)
