"""One member of a group holds up none of the others: pure walks, as kinds of trouble and orders of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.model.catalog import STREAMS
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Broken, Defer, Misuse, Reauthorize, Reject, Retry, SyncFault, Unserved
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.model.records import Page, ReadFrom
from gtmc_pipelines.workflows.activities.positions import Start
from gtmc_pipelines.workflows.activities.slices import MOST_DOWN_IN_A_ROW, LeftOutBefore, ReadBatch, SliceEnd, SliceWalk

STREAM = STREAMS[ConnectorType.O365][0]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOWN = Retry("vendor_unavailable", "It is down.")
ALL_DENIED = Reauthorize("mail_access_denied", "None may be read.")


class Vendor:
    """Slices that read fine, or raise what the test says; `asked` is the order they were asked in."""

    def __init__(self, faults: Mapping[str, Exception]) -> None:
        self.faults = dict(faults)
        self.asked: list[str] = []

    def read(self, key: str) -> Iterator[ReadBatch]:
        self.asked.append(key)
        yield ReadBatch(STREAM, Start(ReadFrom(SyncMode.FULL, NOW, slice=key)), Page((), "half"))
        if key in self.faults:
            raise self.faults[key]
        yield ReadBatch(STREAM, Start(ReadFrom(SyncMode.FULL, NOW, slice=key)), Page((), None, "end"))

    def walk(self, keys: list[str], before: Mapping[str, LeftOutBefore] | None = None) -> dict[str, str]:
        """How each slice ended: "" for one that was read, else its reason."""
        ended: dict[str, str] = {}
        for step in SliceWalk(STREAM, self.read, before or {}).steps(keys):
            if isinstance(step, SliceEnd):
                ended[step.slice] = step.fault.code if step.fault else ""
        return ended


KINDS = {
    "unserved": Unserved("no_mailbox", "It has none."),
    "broken": Broken("not_found", "Unknown."),
    "reject": Reject("bad", "Not this one."),
    "bug": ZeroDivisionError("kim@partner.com"),
}


@pytest.mark.parametrize("kind", [*KINDS, "down"])
@pytest.mark.parametrize("place", range(3))
def test_whatever_one_member_is_left_out_for_the_others_are_read(kind: str, place: int) -> None:
    keys = ["a", "b", "c"]
    ended = Vendor({keys[place]: {**KINDS, "down": DOWN}[kind]}).walk(keys)
    assert ended.pop(keys[place])
    assert set(ended.values()) == {""}


@settings(max_examples=50)
@given(st.lists(st.sampled_from([*KINDS, "fine"]), min_size=1, max_size=12), st.data())
def test_any_mixture_of_answers_leaves_out_exactly_those_that_can_not_be_read(kinds: list[str], data: Any) -> None:
    keys = [f"{number:02}" for number in range(len(kinds))]
    faults = {key: KINDS[kind] for key, kind in zip(keys, kinds, strict=True) if kind != "fine"}
    vendor = Vendor(faults)
    if len(faults) == len(keys):
        with pytest.raises(SyncFault):
            vendor.walk(keys)
        return
    ended = vendor.walk(keys)
    assert {key for key, code in ended.items() if code} == set(faults)
    assert set(ended) == set(keys)


@pytest.mark.parametrize(
    "fault",
    [
        Reauthorize("token_refused", "Connect."),
        Defer("quota", "Later.", until=NOW),
        Misuse("x", "Wrong."),
        Retry("session_closed", "Closed."),
    ],
)
def test_a_fault_of_the_whole_connection_ends_the_sync(fault: Exception) -> None:
    vendor = Vendor({"b": fault})
    with pytest.raises(type(fault)):
        vendor.walk(["a", "b", "c"])
    assert vendor.asked == ["a", "b"]


def test_several_down_in_a_row_are_the_connection_and_the_rest_is_not_asked() -> None:
    keys = list("abcdefgh")
    vendor = Vendor(dict.fromkeys(keys[1:], DOWN))
    with pytest.raises(Retry):
        vendor.walk(keys)
    assert vendor.asked == keys[: 1 + MOST_DOWN_IN_A_ROW]


@settings(max_examples=50)
@given(st.sets(st.integers(0, 9), max_size=9))
def test_however_many_are_down_for_good_the_sync_gets_past_them_in_its_attempts(down: set[int]) -> None:
    """Each attempt begins with those that were not tried yet; members that answer are all read in the end."""
    keys = [str(number) for number in range(10)]
    read: set[str] = set()
    before: dict[str, LeftOutBefore] = {}
    for _ in range(8):
        vendor = Vendor({str(number): DOWN for number in down})
        steps = SliceWalk(STREAM, vendor.read, before).steps(keys)
        try:
            for step in steps:
                if isinstance(step, SliceEnd) and step.fault is None:
                    read.add(step.slice)
                elif isinstance(step, SliceEnd) and step.fault is not None:
                    before[step.slice] = LeftOutBefore(step.fault, is_of_this_sync=True)
        except Retry:
            continue
        break
    else:
        pytest.fail("the attempts are used up")
    assert read == {key for key in keys if int(key) not in down}


def test_those_left_out_last_time_are_asked_last() -> None:
    before = {"a": LeftOutBefore(DOWN, False), "b": LeftOutBefore(KINDS["broken"], False)}  # type: ignore[arg-type]
    vendor = Vendor({})
    vendor.walk(["a", "b", "c", "d"], before)
    assert vendor.asked == ["c", "d", "a", "b"]


def test_a_resumed_sync_asks_again_only_those_that_were_down() -> None:
    before = {"a": LeftOutBefore(DOWN, True), "b": LeftOutBefore(KINDS["broken"], True)}  # type: ignore[arg-type]
    vendor = Vendor({})
    assert vendor.walk(["a", "b", "c"], before) == {"a": "", "c": ""}


def test_one_that_was_down_is_asked_once_more_after_the_others() -> None:
    vendor = Vendor({"a": DOWN})
    ended = []
    for step in SliceWalk(STREAM, vendor.read, {}).steps(["a", "b"]):
        if isinstance(step, SliceEnd):
            ended.append((step.slice, step.fault is None))
            vendor.faults.clear()
    assert ended == [("a", False), ("b", True), ("a", True)]


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        ([KINDS["unserved"], KINDS["unserved"]], "no_mailbox"),
        ([KINDS["unserved"], DOWN], "vendor_unavailable"),
        ([KINDS["unserved"], Unserved("out_of_scope", "No.", when_all=ALL_DENIED)], "mail_access_denied"),
        ([KINDS["unserved"], KINDS["broken"]], "not_found"),
        ([Unserved("out_of_scope", "No.", when_all=ALL_DENIED), KINDS["broken"]], "not_found"),
        ([KINDS["broken"], KINDS["broken"]], "not_found"),
        ([KINDS["broken"], KINDS["reject"]], "no_slice_read"),
    ],
)
def test_when_none_could_be_read_the_stream_says_what_they_have_in_common(faults: list[Exception], code: str) -> None:
    with pytest.raises(SyncFault) as raised:
        Vendor(dict(zip("ab", faults, strict=True))).walk(["a", "b"])
    assert raised.value.code == code
