"""A worker's slots: fairly shared, given back while a vendor is silent, and gone a second after a cancel."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines.workflows.activities import ahead
from gtmc_pipelines.workflows.activities.ahead import Ahead, alongside
from gtmc_pipelines.workflows.slots import TURN, Slots, Turn
from gtmc_pipelines_tests.connectors.hostile_vendor import hostile


def _nothing() -> None:
    return None


def _stop_when(event: threading.Event) -> Callable[[], None]:
    class Stop(Exception):
        pass

    def look() -> None:
        if event.is_set():
            raise Stop

    _stop_when.kind = Stop  # type: ignore[attr-defined]
    return look


@settings(max_examples=40)
@given(st.integers(1, 8), st.lists(st.sampled_from("abcde"), max_size=25), st.randoms(use_true_random=False))
def test_no_tenant_holds_more_than_its_share_while_another_waits(count: int, come: list[str], draw: object) -> None:
    slots, turns = Slots(count), []
    for tenant in come:
        turns.append(slots.turn(tenant))
        _give_way(slots, turns)
        _judge(slots, turns, count)
    while turns:
        turn = turns.pop(draw.randrange(len(turns)))  # type: ignore[attr-defined]
        slots.give_back(turn)
        _give_way(slots, turns)
        _judge(slots, turns, count)
    assert not slots.held


def _give_way(slots: Slots, turns: list[Turn]) -> None:
    """As segments do, each at its next batch."""
    while told := next((each for each in turns if each.has_slot and each.should_give_way), None):
        slots.give_back(told)
        turns.remove(told)


def _judge(slots: Slots, turns: list[Turn], count: int) -> None:
    waiting = {turn.tenant for turn in turns if not turn.has_slot}
    contending = {turn.tenant for turn in turns}
    assert slots.held.total() == min(count, len(turns)), "no slot is left free while somebody waits"
    for tenant, held in slots.held.items():
        if waiting - {tenant}:
            assert held <= -(-count // len(contending))


def test_alone_a_tenant_may_have_all() -> None:
    slots = Slots(8)
    turns = [slots.turn("acme") for _ in range(9)]
    assert slots.held == {"acme": 8}
    assert not any(turn.should_give_way for turn in turns)


def test_only_as_many_give_way_as_are_too_many() -> None:
    slots = Slots(8)
    turns = [slots.turn("acme") for _ in range(8)]
    other = slots.turn("other")
    told = [turn for turn in turns if turn.should_give_way]
    assert len(told) == 1, "one is waited for"
    slots.give_back(told[0])
    assert other.has_slot


def test_a_free_slot_goes_to_who_holds_the_fewest() -> None:
    slots = Slots(2)
    first, _second = slots.turn("acme"), slots.turn("acme")
    third, other = slots.turn("acme"), slots.turn("other")
    slots.give_back(first)
    assert (other.has_slot, third.has_slot) == (True, False)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_TICK_SECONDS", 0.01)
    monkeypatch.setattr(ahead, "PATIENT_SECONDS", 0.02)


@pytest.fixture
def turn_of() -> Iterator[Callable[[Slots, str], Turn]]:
    tokens = []

    def take(slots: Slots, tenant: str) -> Turn:
        turn = slots.turn(tenant)
        tokens.append(TURN.set(turn))
        return turn

    yield take
    for token in reversed(tokens):
        TURN.reset(token)


@pytest.mark.usefixtures("impatient")
def test_a_silent_vendor_holds_no_slot_while_others_wait(turn_of: Callable[[Slots, str], Turn]) -> None:
    slots, answer, seen = Slots(1), threading.Event(), []
    mine = turn_of(slots, "silent")
    other = slots.turn("other")

    def beat() -> None:
        seen.append((mine.has_slot, other.has_slot))
        if other.has_slot:
            answer.set()
            slots.give_back(other)

    def source() -> Iterator[int]:
        answer.wait(10)
        yield 1

    with Ahead(source(), beat) as items:
        assert next(iter(items)) == 1
        assert mine.has_slot, "it works on the answer in a slot again"
    assert (False, True) in seen


@pytest.mark.usefixtures("impatient")
def test_nobody_gives_up_a_slot_that_nobody_wants(turn_of: Callable[[Slots, str], Turn]) -> None:
    slots, beats = Slots(1), Counter[bool]()
    mine = turn_of(slots, "silent")

    def work() -> int:
        time.sleep(0.1)
        return 1

    assert alongside(work, lambda: beats.update([mine.has_slot])) == 1
    assert set(beats) == {True}


@pytest.mark.usefixtures("impatient")
def test_ten_silent_minutes_are_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MOST_SILENT_SECONDS", 0.05)
    gate = threading.Event()
    with pytest.raises(Retry) as caught:
        alongside(lambda: gate.wait(10), _nothing)
    gate.set()
    assert caught.value.code == "no_page"


@pytest.mark.usefixtures("impatient")
def test_a_job_that_makes_progress_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MOST_SILENT_SECONDS", 0.05)
    gate, beats = threading.Event(), iter(range(20))

    def source() -> Iterator[int]:
        gate.wait(10)
        yield 1

    def beat() -> None:
        if next(beats, None) is None:
            gate.set()

    with Ahead(source(), beat, sign_of_life=time.monotonic) as items:
        assert list(items) == [1]


@pytest.mark.parametrize("mode", ["silent", "dripped headers", "dripped trailers"])
def test_leaving_ends_whatever_request_is_under_way(mode: str) -> None:
    """Of a session that the reading thread has opened, and of one that was there before."""
    for opened_before in (True, False):
        with hostile(mode) as vendor:
            before = VendorSession("Acme", vendor.settings(max_attempts=1))
            left = threading.Event()

            def read(host: str = vendor.host, given: VendorSession | None = before if opened_before else None) -> None:
                session = given or VendorSession("Acme", vendor.settings())
                session.get(f"http://{host}/page")

            look = _stop_when(left)
            waiter = threading.Thread(target=lambda: (vendor.await_callers(1), left.set()))  # noqa: B023
            waiter.start()
            with pytest.raises(_stop_when.kind):  # type: ignore[attr-defined]
                alongside(read, look)
            vendor.await_nobody(1.0)
            waiter.join()
            before.close()
    assert not [each for each in threading.enumerate() if each.name == "sync-reader"]
