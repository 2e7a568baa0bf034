"""A page is taken apart without touching digits, and mended only where PostgreSQL would refuse it."""

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.json_pages import MOST_VALUES, decode_page, mended
from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.model.unreadable import fault_of, shallow


class _Page(msgspec.Struct):
    records: list[msgspec.Raw]


_DECODER = msgspec.json.Decoder(_Page)


def _records(body: bytes) -> list[bytes]:
    return [bytes(raw) for raw in decode_page(body, _DECODER, "Acme").records]


def test_records_keep_their_own_bytes() -> None:
    body = b'{"records":[{"a":1.10,"b":12345678901234567890.123456789},{ "c" : "\\u00e9\\/" }]}'
    assert _records(body) == [b'{"a":1.10,"b":12345678901234567890.123456789}', b'{ "c" : "\\u00e9\\/" }']


def test_half_a_surrogate_pair_and_nul_become_replacement_characters() -> None:
    body = rb'{"records":[{"a":"x\ud83dy","b":"\u0000","c":"\ud83d\ude00","d":"\\ud83d \\u0000"}]}'
    assert _records(body) == [rb'{"a":"x\ufffdy","b":"\ufffd","c":"\ud83d\ude00","d":"\\ud83d \\u0000"}']


def test_not_a_number_is_null_and_its_neighbours_keep_their_digits() -> None:
    (record,) = _records(b'{"records":[{"a":NaN,"b":0.10000000000000000001,"c":1e400,"d":123456789012345678901}]}')
    assert record == b'{"a":null,"b":0.10000000000000000001,"c":1E+400,"d":123456789012345678901}'


@pytest.mark.parametrize(
    "body", [b"", b"<html></html>", b'{"records":[{]}', b'{"records":3}', b'{"\xff":[]}', b"[" * 100_000]
)
def test_what_is_no_page_is_one_sentence_without_its_text(body: bytes) -> None:
    with pytest.raises(Broken) as caught:
        decode_page(body, _DECODER, "Acme")
    assert caught.value.code == "unparsable_page"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("unit", [b"[]", b"{}", b"1", b'{"a":1}'])
@pytest.mark.parametrize("first", [b"1", b"NaN", b'"\xff"'])
def test_a_page_of_far_too_many_values_is_not_taken_apart(first: bytes, unit: bytes) -> None:
    body = b'{"records":[' + first + (b"," + unit) * MOST_VALUES + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(Broken) as caught:
            decode_page(body, _DECODER, "Acme")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.code == "unparsable_page"


def test_the_fullest_honest_page_is_taken_apart() -> None:
    record = b'{"Id":"a"' + b',"f":null' * 799 + b"}"
    assert len(_records(b'{"records":[' + b",".join([record] * 2_000) + b"]}")) == 2_000


_NEIGHBOURS = (b'{"id":"before"}', b'{"id":"after","n":0.10}')
_SPOILT = {
    "too_deep": [b"[" * n + b"]" * n for n in (150, 990, 3_000, 200_000)] + [b'{"a":[' * 100_000 + b"]}" * 100_000],
    "bad_unicode": [b'"caf\xe9"', b'"\xff\xfe\xff"', b'{"\xc3":1}', b'"\xed\xa0\x80"', b'"cut \xf0\x9f"'],
}


@pytest.mark.parametrize(
    ("reason", "value"),
    [(reason, value) for reason, values in _SPOILT.items() for value in values],
    ids=lambda each: each if isinstance(each, str) else "",
)
@pytest.mark.parametrize("other", [b"{}", b'{"x":NaN}', b'{"x":1e9999999999999999999}'])
def test_what_nobody_can_read_costs_its_record_and_no_other(reason: str, value: bytes, other: bytes) -> None:
    before, after = _NEIGHBOURS
    body = b'{"records":[%s,{"id":"bad","x":%s,"y":"kept"},%s,%s]}' % (before, value, other, after)
    first, spoilt, _, last = _records(body)
    assert (json.loads(first), json.loads(last)) == (json.loads(before), json.loads(after))
    assert fault_of(spoilt) == reason
    kept = json.loads(shallow(spoilt))
    assert (kept["id"], kept["y"]) == ("bad", "kept")


def test_a_number_beyond_every_bound_costs_its_record_where_a_neighbour_needs_the_patient_parser() -> None:
    found = _records(b'{"records":[{"a":1e9999999999999999999},{"a":NaN},{"a":1e400}]}')
    assert [fault_of(each) for each in found] == ["number_out_of_range", None, None]


def test_marks_that_a_vendor_sends_are_no_marks() -> None:
    sent = [r'"\ufdd0"', r'"\uFDD1"', '"\ufdd2"', '"\ufdd0\ufdd1"']
    for value in sent:
        assert fault_of(_records(f'{{"records":[{{"a":{value}}}]}}'.encode())[0]) is None
        assert fault_of(_records(f'{{"records":[{{"a":{value}}},{{"b":NaN}}]}}'.encode())[0]) is None


@given(st.text(), st.lists(st.integers(0xD800, 0xDFFF), max_size=3))
def test_any_text_is_storable_afterwards(text: str, halves: list[int]) -> None:
    body = json.dumps({"records": [{"t": text + "".join(map(chr, halves))}]}).encode()
    (record,) = _records(body)
    stored = json.loads(record)["t"]
    stored.encode()
    assert "\0" not in stored
    assert mended(body) == mended(mended(body))
