"""Bodies come out whole however they were packed, and cost about as much memory as they have bytes."""

from __future__ import annotations

import gzip
import random
import threading
import tracemalloc
import zlib
from itertools import pairwise

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from gtmc_pipelines.connectors.bodies import MOST_UNPACKED, BodyTooLarge, BodyUnreadable, read_body
from gtmc_pipelines.connectors.bytes_in_hand import GaveWay, Hand, Handful
from gtmc_pipelines.connectors.deadlines import Deadline
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import Retry
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer

MB = 1024 * 1024


class _Raw:
    """What a connection gives, in pieces of the test's choice."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter([piece for piece in pieces if piece])

    def read1(self, amount: int, *, decode_content: bool) -> bytes:
        return next(self._pieces, b"")


def _read(packed: bytes, encoding: str, cuts: list[int] | None = None, most: int = 10 * MB) -> bytes:
    places = [0, *sorted(cut % (len(packed) + 1) for cut in cuts or ()), len(packed)]
    response = requests.Response()
    response.headers["Content-Encoding"] = encoding
    response.raw = _Raw([packed[a:b] for a, b in pairwise(places)])
    handful = Hand().handful()
    handful.begin(Deadline(60))
    return read_body(response, most, handful)


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@given(st.lists(st.binary(max_size=2_000), min_size=1, max_size=4), st.lists(st.integers(0), max_size=6))
def test_a_packed_body_comes_out_whole_however_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    body = b"".join(parts)
    assert _read(body, "", cuts) == _read(body, "identity", cuts) == body
    assert _read(b"".join(gzip.compress(part) for part in parts), "gzip", cuts) == body
    assert _read(gzip.compress(body) + b"\0" * 7, "X-GZIP", cuts) == body
    assert _read(zlib.compress(body), "deflate", cuts) == _read(_bare(body), "deflate", cuts) == body


@given(st.binary(min_size=1, max_size=3_000), st.data())
def test_a_body_that_ends_in_the_middle_is_no_body(body: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(body)
    cut = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(BodyUnreadable):
        _read(packed[:cut], "gzip")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "nonsense"])
def test_a_packing_nobody_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(BodyUnreadable):
        _read(gzip.compress(b"{}"), encoding)


def test_size_and_density_are_bounded() -> None:
    with pytest.raises(BodyTooLarge, match="1000 bytes"):
        _read(gzip.compress(b"x" * 1_001), "gzip", most=1_000)
    with pytest.raises(BodyTooLarge, match=f"{MOST_UNPACKED} times"):
        _read(gzip.compress(bytes(40 * MB)), "gzip", most=100 * MB)


def test_a_large_packed_body_is_held_once(vendor: ScriptedVendor) -> None:
    line = random.Random(7).randbytes(3_000).hex().encode()
    body = line * (16 * MB // len(line))
    vendor.script.append(answer(200, gzip.compress(body, 1), Content_Encoding="gzip"))
    with VendorSession("Acme", vendor.settings()) as session:
        session.get(f"http://{vendor.host}/small", headers={"Range": "bytes=0-0"})
        tracemalloc.start()
        try:
            response = session.get(f"http://{vendor.host}/")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert response.content == body
    assert peak < 1.4 * len(body) + 2 * MB


def _growing(hand: Hand, size: int) -> Handful:
    handful = hand.handful()
    handful.begin(Deadline(60))
    handful.grow_to(size)
    return handful


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_together_they_never_hold_more_than_there_may_be(sizes: list[int]) -> None:
    hand = Hand(100 * MB)
    kept = []
    for size in sizes:
        handful = hand.handful()
        handful.begin(Deadline(60))
        try:
            handful.grow_to(size * MB)
        except GaveWay:
            handful.drop()
        handful.is_whole()  # so that nobody is waited for
        kept.append(handful)
        assert hand.held <= 100 * MB


def test_the_largest_gives_way_to_a_small_one() -> None:
    hand = Hand(100 * MB)
    hog = _growing(hand, 95 * MB)
    assert hog.deadline is not None
    threading.Timer(0.05, hog.drop).start()  # as its thread does, once its connection is cut
    small = _growing(hand, 10 * MB)
    assert hog.gives_way
    assert small.size == hand.held == 10 * MB


def test_a_body_counts_until_the_next_one_or_the_end_of_its_session(vendor: ScriptedVendor) -> None:
    hand = Hand(3 * MB)
    vendor.script.extend([answer(200, bytes(2 * MB)), answer(200, b"{}"), answer(200, bytes(4 * MB))])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gtmc_pipelines.connectors.http.HAND", hand)
        with VendorSession("Acme", vendor.settings()) as session:
            session.get(f"http://{vendor.host}/")
            assert hand.held == 2 * MB
            session.get(f"http://{vendor.host}/")
            assert hand.held == MB
            with pytest.raises(Retry) as caught:
                session.get(f"http://{vendor.host}/")
        assert caught.value.code == "worker_full"
        assert hand.held == 0
