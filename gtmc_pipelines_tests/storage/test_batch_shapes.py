"""Pure parts of the write path: COPY text, content hashes, ids."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.storage import copy_text
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
