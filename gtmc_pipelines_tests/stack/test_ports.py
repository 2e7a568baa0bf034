"""The usual port when it is free, the next free one when not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gtmc_pipelines.stack.ports import answers, answers_http, free_port, free_range, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    """A port something listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_free_usual_port_is_used() -> None:
    port = free_port()
    assert free_port(port) == port


def test_a_taken_usual_port_gives_a_later_one(taken: int) -> None:
    assert free_port(taken) > taken


def test_a_listener_makes_a_port_taken(taken: int) -> None:
    assert answers(taken)
    assert not is_free(taken)


def test_a_listener_that_shares_its_port_makes_it_taken_too() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not is_free(listener.getsockname()[1])


def test_a_range_skips_a_block_with_a_taken_port(taken: int) -> None:
    first = taken - taken % 10
    assert free_range(first, 10) > taken


def test_a_silent_port_does_not_answer_http() -> None:
    assert not answers_http(free_port(), "/")
