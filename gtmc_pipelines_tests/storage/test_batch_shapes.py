"""Pure parts of the write path: COPY text, content hashes, ids, and pages put together into batches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.model.records import Page, RejectedRecord
from gtmc_pipelines.storage import copy_text
from gtmc_pipelines.storage.batch import batches
from gtmc_pipelines.storage.landing import ContentHash, is_storable_id, prepare
from gtmc_pipelines_tests.storage.write_scene import FieldMapper, at, record

VALUES = st.lists(
    st.none() | st.text(st.sampled_from("ab\\\n\r\t.N\x1e\x1f'\u00e9"), max_size=6), min_size=1, max_size=4
)


def unescaped(field: str) -> str | None:
    """What PostgreSQL makes of one field of COPY text."""
    if field == copy_text.NULL:
        return None
    text, characters = "", iter(field)
    for character in characters:
        if character == "\\":
            following = next(characters)
            character = {"n": "\n", "r": "\r"}.get(following, following)
        text += character
    return text


def fields_of(row: str) -> list[str]:
    """Split at delimiters that no backslash precedes."""
    fields, current, is_escaped = [], "", False
    for character in row:
        if character == copy_text.SEPARATOR and not is_escaped:
            fields.append(current)
            current = ""
            continue
        current += character
        is_escaped = character == "\\" and not is_escaped
    return [*fields, current]


@given(VALUES)
def test_a_row_of_copy_text_reads_back_as_its_values(values: list[str | None]) -> None:
    row = copy_text.join(values)
    assert "\n" not in row
    assert "\r" not in row
    assert [unescaped(field) for field in fields_of(row)] == values


@given(st.binary(max_size=20))
def test_escaped_bytes_hold_no_line_end_or_bare_delimiter(value: bytes) -> None:
    escaped = copy_text.escape_bytes(value)
    assert b"\n" not in escaped
    assert len(fields_of(escaped.decode("latin-1"))) == 1


def test_the_hash_changes_with_payload_stamp_deletion_and_mapping_and_with_nothing_else() -> None:
    one = record("a", 1, first_name="Ana")
    of = ContentHash([FieldMapper()]).of
    elsewhere = at(1).astimezone(timezone(timedelta(hours=5)))
    assert of(one) == of(record("a", 1, first_name="Ana")) == of(replace(one, source_updated_at=elsewhere))
    others = {of(record("a", 2, first_name="Ana")), of(record("a", None, first_name="Ana")), of(record("a", 1))}
    others |= {of(replace(one, is_deleted=True)), ContentHash([FieldMapper(fingerprint=b"two")]).of(one)}
    assert len(others) == 5
    assert of(one) not in others


def test_ids_are_storable_when_they_are_short_valid_text() -> None:
    assert is_storable_id("003🦄")
    assert not any(map(is_storable_id, ["", "a\0", "\udc00", "é" * 513]))


def test_long_but_storable_ids_survive_the_quick_check() -> None:
    key = "x" * 1_000
    prepared = prepare([record(key, 1), record("b", 1)], ContentHash([FieldMapper()]))
    assert list(prepared.newest) == [key, "b"]
    assert prepared.without_storable_id == []


def page(records: int, checkpoint: str | None, size: int = 10) -> Page:
    made = [record(f"{checkpoint}-{n}", 1, name="x" * size) for n in range(records)]
    watermark = "w" if checkpoint is None else None
    return Page(made, checkpoint, watermark, [RejectedRecord(None, "missing_id", "")], skipped=2)


def test_small_pages_are_written_together_and_the_last_checkpoint_counts() -> None:
    pages = [page(100, "one"), page(100, "two"), page(100, "three"), page(100, None)]
    first, last = batches(pages, max_records=320)
    assert (first.read, first.checkpoint) == (309, "three")
    assert (last.read, last.checkpoint, last.watermark, last.is_last) == (103, None, "w", True)
    assert (last.skipped, len(last.rejects)) == (2, 1)


def test_a_large_page_is_written_alone_and_never_split() -> None:
    sizes = [batch.read for batch in batches([page(5, "a"), page(50, "b"), page(5, "c")], max_records=20)]
    assert sizes == [8, 53, 8]


def test_batches_are_bounded_by_bytes_too() -> None:
    assert len(list(batches([page(10, "a", 1_000), page(10, "b", 1_000)], max_bytes=15_000))) == 2


def test_a_read_that_stops_halfway_still_hands_over_what_it_has() -> None:
    (batch,) = batches([page(1, "one")])
    assert batch.checkpoint == "one"
    assert list(batches([])) == []
