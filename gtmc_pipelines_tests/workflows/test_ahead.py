"""Reading ahead: order, faults, stopping and memory, without any service."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from gtmc_pipelines.workflows.activities.ahead import Ahead, alongside


def _nothing() -> None:
    return None


def test_items_arrive_in_order() -> None:
    with Ahead(iter(range(100)), _nothing) as items:
        assert list(items) == list(range(100))


def test_the_sources_fault_is_raised_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    seen: list[int] = []
    with Ahead(source(), _nothing) as items, pytest.raises(KeyError):
        seen.extend(items)
    assert seen == [1, 2]


def test_the_reader_is_never_more_than_its_depth_ahead() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    furthest = 0
    with Ahead(source(), _nothing, depth=2) as items:
        for used, _ in enumerate(items, 1):
            furthest = max(furthest, len(made) - used)
    assert furthest <= 3, "two in the queue and one in the reader's hand"


def test_leaving_early_closes_the_source_in_its_own_thread() -> None:
    closed_in: list[str] = []
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_in.append(threading.current_thread().name)
            closed.set()

    with Ahead(source(), _nothing) as items:
        assert next(iter(items)) == 1
    assert closed.wait(5)
    assert closed_in == ["sync-reader"]


def test_waiting_may_be_given_up() -> None:
    gate = threading.Event()

    def source() -> Iterator[int]:
        gate.wait(30)
        yield 1

    class Stop(Exception):
        pass

    def give_up() -> None:
        raise Stop

    with pytest.raises(Stop), Ahead(source(), give_up) as items:
        next(iter(items))
    gate.set()


def test_work_alongside_gives_its_result_or_its_fault() -> None:
    assert alongside(lambda: 42, _nothing) == 42

    def broken() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        alongside(broken, _nothing)
