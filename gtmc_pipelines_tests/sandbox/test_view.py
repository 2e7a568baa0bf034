"""Views worked out by arithmetic show exactly what a plain scan of all records would."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.sandbox.options import SandboxMisuse
from gtmc_pipelines.sandbox.salesforce.changes import change
from gtmc_pipelines.sandbox.salesforce.org import Org
from gtmc_pipelines.sandbox.salesforce.stamps import START_SECONDS
from gtmc_pipelines.sandbox.salesforce.table import Table
from gtmc_pipelines.sandbox.salesforce.view import Window, WindowView
from gtmc_pipelines.sandbox.vendor import Mutation

DAY_MS = 86_400_000
START_MS = START_SECONDS * 1000

steps = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "delete", "undelete", "purge"]),
        st.integers(1, 4),
        st.integers(-10, 800).map(lambda day: START_MS + day * DAY_MS),
    ),
    max_size=12,
)


def mutated(table: Table, wishes: list[tuple[str, int, int]]) -> None:
    for action, count, stamp in wishes:
        try:
            change(table, Mutation("acme", "Lead", action, count, stamp_ms=stamp))
        except SandboxMisuse:
            assert action in ("undelete", "purge")  # the recycle bin holds fewer


def plainly(table: Table, window: Window, with_deleted: bool, by_stamp: bool) -> list[int]:
    inside = [
        index
        for index in range(table.next_index)
        if (table.exists(index) if with_deleted else table.is_live(index))
        and (window.stamp_from is None or table.stamp(index) >= window.stamp_from)
        and (window.stamp_below is None or table.stamp(index) < window.stamp_below)
        and window.index_from <= index < (window.index_below or table.next_index)
    ]
    return sorted(inside, key=lambda index: (table.stamp(index), index)) if by_stamp else inside


@given(steps, st.booleans(), st.booleans(), st.integers(0, 730), st.integers(0, 730), st.integers(0, 200), st.data())
def test_a_view_equals_a_plain_scan_after_any_changes(
    wishes: list[tuple[str, int, int]],
    with_deleted: bool,
    by_stamp: bool,
    first_day: int,
    last_day: int,
    index_from: int,
    data: st.DataObject,
) -> None:
    table = Org("acme", 7, {"leads": 160}).tables["Lead"]
    mutated(table, wishes)
    window = Window(START_MS + first_day * DAY_MS, START_MS + last_day * DAY_MS, index_from // 2)
    if first_day > last_day:
        window = Window(index_from=index_from)
    expected = plainly(table, window, with_deleted, by_stamp)
    view = WindowView(table, window, with_deleted=with_deleted, by_stamp=by_stamp)
    assert len(view) == len(expected)
    assert view.slice(0, len(expected) + 5) == expected
    offset, size = data.draw(st.integers(0, 180)), data.draw(st.integers(1, 60))
    assert view.slice(offset, size) == expected[offset : offset + size]
    falling = WindowView(table, window, with_deleted=with_deleted, by_stamp=by_stamp, falling=True)
    assert falling.slice(offset, size) == expected[::-1][offset : offset + size]


@given(steps)
def test_counts_follow_every_change(wishes: list[tuple[str, int, int]]) -> None:
    table = Org("acme", 7, {"leads": 160}).tables["Lead"]
    mutated(table, wishes)
    existing = [index for index in range(table.next_index) if table.exists(index)]
    live = sum(table.is_live(index) for index in existing)
    assert table.counts() == (live, len(existing) - live)


def test_a_million_records_are_there_at_once_and_paged_without_being_held() -> None:
    began = time.process_time()
    table = Org("acme", 7, {"contacts": 1_000_000}).tables["Contact"]
    view = WindowView(table, Window(START_MS, None), with_deleted=False)
    assert len(view) == 1_000_000
    assert len(view.slice(999_000, 2000)) == 1000
    assert time.process_time() - began < 1.0


def test_a_wrong_id_is_refused() -> None:
    table = Org("acme", 7, {}).tables["Lead"]
    with pytest.raises(SandboxMisuse, match="There is no Lead"):
        change(table, Mutation("acme", "Lead", "delete", ids=("00Q000000000000",)))
