"""Whoever else calls at the loopback listener gets 404 or nothing, and the login goes on waiting."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors import callback_requests
from gtmc_pipelines.connectors.loopback import Callback, LoopbackListener

STATE = "issued.state"
GOOD = f"/callback?code=a&state={STATE}"


class Waiting:
    """A login that waits in a thread of its own."""

    def __init__(self, listener: LoopbackListener, pool: ThreadPoolExecutor) -> None:
        self.port = urlsplit(listener.redirect_uri).port or 0
        self.host = f"localhost:{self.port}"
        self.answer: Future[Callback] = pool.submit(listener.wait, STATE, 20)

    def call(self, raw: bytes) -> bytes:
        """Send these bytes, and read to the end what comes back; nothing when the connection was reset."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as caller, contextlib.suppress(OSError):
            caller.sendall(raw)
            caller.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: caller.recv(65536), b""))
        return b""

    def head(self, target: str, *, method: str = "GET", host: str | None = None) -> bytes:
        """A request."""
        return f"{method} {target} HTTP/1.1\r\nHost: {self.host if host is None else host}\r\n\r\n".encode()


@pytest.fixture(scope="module")
def waiting() -> Iterator[Waiting]:
    """One login for all of them: whatever they send, its own answer ends it."""
    with LoopbackListener() as listener, ThreadPoolExecutor(1) as pool:
        login = Waiting(listener, pool)
        try:
            yield login
        finally:
            with ThreadPoolExecutor(1) as browser:
                page = browser.submit(login.call, login.head(GOOD))
                assert login.answer.result(5).code.reveal() == "a"
                listener.close()
                assert b"close this window" in page.result(5)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/favicon.ico",
        "/callback",
        "/callback?code=a",
        "/callback?error=access_denied",
        "/callback?code=a&state=",
        f"/callback?code=a&state={STATE[:-1]}",
        f"/callback?code=a&state={STATE}x",
        f"/callback?code=a&state={STATE.upper()}",
        f"/callback?code=a&state={STATE}&state={STATE}",
        f"/callback?code=a&code=b&state={STATE}",
        f"/callback/?code=a&state={STATE}",
        f"//callback?code=a&state={STATE}",
        f"/elsewhere?code=a&state={STATE}",
        "/callback?" + "&".join(f"p{number}=1" for number in range(60)) + f"&code=a&state={STATE}",
    ],
)
def test_another_target_is_not_found(waiting: Waiting, target: str) -> None:
    assert waiting.call(waiting.head(target)).startswith(b"HTTP/1.1 404 ")
    assert not waiting.answer.done()


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "get", "X" * 21])
def test_another_method_is_not_found_even_with_the_state(waiting: Waiting, method: str) -> None:
    assert waiting.call(waiting.head(GOOD, method=method)).startswith(b"HTTP/1.1 404 ")
    assert not waiting.answer.done()


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost", "127.0.0.1", "localhost:1", "", "localhost:{0}.evil.example"]
)
def test_another_host_is_not_found_even_with_the_state(waiting: Waiting, host: str) -> None:
    assert waiting.call(waiting.head(GOOD, host=host.format(waiting.port))).startswith(b"HTTP/1.1 404 ")
    assert not waiting.answer.done()


def test_a_request_that_names_no_host_or_two_is_not_found(waiting: Waiting) -> None:
    for fields in ("", f"Host: {waiting.host}\r\nHost: {waiting.host}\r\n", f" Host: {waiting.host}\r\n"):
        assert waiting.call(f"GET {GOOD} HTTP/1.1\r\n{fields}\r\n".encode()).startswith(b"HTTP/1.1 404 ")
    for line in (f"GET http://{waiting.host}{GOOD} HTTP/1.1", f"GET {GOOD}", f"GET {GOOD} HTTP/2.0", "\0\0"):
        assert waiting.call(f"{line}\r\nHost: {waiting.host}\r\n\r\n".encode()).startswith(b"HTTP/1.1 404 ")
    assert not waiting.answer.done()


def test_a_head_without_end_is_cut(waiting: Waiting) -> None:
    waiting.call(waiting.head(GOOD)[:-2] + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n")
    waiting.call(b"GET /" + b"y" * 1_000_000)
    assert not waiting.answer.done()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=60).map(
            lambda text: f"GET /callback?state={text} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        ),
    )
)
def test_no_bytes_but_the_issued_state_end_it(waiting: Waiting, raw: bytes) -> None:
    answer = waiting.call(raw)
    assert not answer or answer.startswith(b"HTTP/1.1 404 ")
    assert not waiting.answer.done()


def test_silent_and_dripping_connections_block_nobody_and_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback_requests, "HEAD_SECONDS", 0.3)
    with LoopbackListener() as listener, ThreadPoolExecutor(1) as pool, contextlib.ExitStack() as stack:
        login = Waiting(listener, pool)
        here = ("127.0.0.1", login.port)
        silent = [
            stack.enter_context(socket.create_connection(here, 5)) for _ in range(callback_requests.MOST_OPEN + 20)
        ]
        for each in silent[::2]:
            with contextlib.suppress(OSError):
                each.sendall(b"GET /call")
        begun = time.monotonic()
        assert login.call(login.head("/")).startswith(b"HTTP/1.1 404 ")
        assert time.monotonic() - begun < 2
        for each in silent:
            with contextlib.suppress(OSError):  # reset, where something was left unread
                assert each.recv(1) == b"", "closed by its own deadline, or for too many"
        assert not login.answer.done()
        with ThreadPoolExecutor(1) as browser:
            page = browser.submit(login.call, login.head(GOOD))
            assert login.answer.result(5).state == STATE
            listener.close()
            assert b"close this window" in page.result(5)
