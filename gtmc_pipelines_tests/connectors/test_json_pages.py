"""A page is taken apart without touching digits, and mended only where PostgreSQL would refuse it."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtmc_pipelines.connectors.json_pages import decode_page, mended
from gtmc_pipelines.model.errors import Broken


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
    "body", [b"", b"<html></html>", b'{"records":[{]}', b'{"records":3}', b'{"records":["\xff"]}', b"[" * 100_000]
)
def test_what_is_no_page_is_one_sentence_without_its_text(body: bytes) -> None:
    with pytest.raises(Broken) as caught:
        decode_page(body, _DECODER, "Acme")
    assert caught.value.code == "unparsable_page"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(st.text(), st.lists(st.integers(0xD800, 0xDFFF), max_size=3))
def test_any_text_is_storable_afterwards(text: str, halves: list[int]) -> None:
    body = json.dumps({"records": [{"t": text + "".join(map(chr, halves))}]}).encode()
    (record,) = _records(body)
    stored = json.loads(record)["t"]
    stored.encode()
    assert "\0" not in stored
    assert mended(body) == mended(mended(body))
