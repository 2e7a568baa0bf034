"""Coalescing pages: sizes, clocks, checkpoints, and what happens when reading breaks off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.records import Page, RejectedRecord, SourceRecord
from gtmc_pipelines.workflows.activities.coalesce import BatchLimits, coalesce


def _page(records: int, checkpoint: str | None = "next", size: int = 10, skipped: int = 0) -> Page:
    rejects = [RejectedRecord(None, "no_id", "")] if skipped else []
    mark = "W" if checkpoint is None else None
    return Page([SourceRecord("a", b"x" * size, None)] * records, checkpoint, mark, rejects, skipped)


@given(st.lists(st.integers(0, 900), max_size=20), st.integers(0, 900))
def test_no_record_is_lost_and_no_batch_is_too_large(sizes: list[int], last: int) -> None:
    pages = [_page(size, str(number)) for number, size in enumerate(sizes)] + [_page(last, None)]
    batches = list(coalesce(iter(pages), BatchLimits(records=1000, seconds=1e9)))
    assert sum(batch.read for batch in batches) == sum(sizes) + last
    assert all(len(batch.records) <= 1000 for batch in batches)
    assert [batch.is_last for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert batches[-1].watermark == "W"


def test_a_batch_carries_the_last_checkpoint_and_everything_counted() -> None:
    batches = list(coalesce(iter([_page(2, "1", skipped=3), _page(1, "2", skipped=4), _page(0, None)])))
    assert len(batches) == 1
    assert (batches[0].checkpoint, batches[0].watermark) == (None, "W")
    assert (batches[0].skipped, len(batches[0].rejects), len(batches[0].records)) == (7, 2, 3)


def test_bytes_bound_a_batch_too() -> None:
    pages = [_page(1, str(number), size=600) for number in range(4)] + [_page(0, None)]
    batches = list(coalesce(iter(pages), BatchLimits(size=1300, seconds=1e9)))
    assert [len(batch.records) for batch in batches] == [2, 2]


def test_a_slow_vendor_does_not_hold_back_what_was_read() -> None:
    moments = iter([0.0, 0.2, 1.3, 1.3, 1.4, 1.5, 1.6])
    pages = [_page(1, "1"), _page(1, "2"), _page(1, "3"), _page(0, None)]
    batches = list(coalesce(iter(pages), clock=lambda: next(moments)))
    assert [batch.checkpoint for batch in batches] == ["2", None]


def test_what_was_read_before_a_fault_is_still_written() -> None:
    def pages() -> Iterator[Page]:
        yield _page(5, "1")
        raise KeyError

    seen: list[Page] = []
    with pytest.raises(KeyError):
        seen.extend(coalesce(pages()))
    assert [(len(page.records), page.checkpoint) for page in seen] == [(5, "1")]
