"""Bodies of answers: unpacked as they come, within bounds of size and of how densely they may be packed.

A body grows in one buffer, which becomes its bytes without a copy: reading 250 MB takes 250 MB.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from itertools import chain

import requests

from gtmc_pipelines.connectors.bytes_in_hand import Handful

ACCEPTED = "gzip, deflate"
"""What requests ask for, and all that is unpacked."""

MOST_UNPACKED = 600
"""Bytes that one packed byte may become, once a body is large; honest records are packed ten- to fiftyfold."""

_LARGE_BYTES = 32 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_GZIP, _ZLIB, _BARE = 31, 15, -15  # of zlib.decompressobj


class BodyTooLarge(Exception):
    """The body is larger, or packed more densely, than is ever read; the text says how large it may be."""


class BodyUnreadable(Exception):
    """The body is packed in a way that wasn't asked for, is damaged, or ends in the middle."""


def read_body(response: requests.Response, most: int, handful: Handful) -> bytes:
    """The unpacked body of at most `most` bytes; `handful` accounts for what is held.

    Raises BodyTooLarge, BodyUnreadable, GaveWay, and what the connection raises.
    """
    body, packed = io.BytesIO(), 0

    def pieces() -> Iterator[bytes]:
        nonlocal packed
        while piece := response.raw.read1(_PIECE_BYTES, decode_content=False):
            packed += len(piece)
            yield piece

    for part in _unpacked(pieces(), response.headers.get("Content-Encoding", "")):
        size = body.tell() + len(part)
        if size > most:
            raise BodyTooLarge(f"{most} bytes")
        if size > _LARGE_BYTES and size > packed * MOST_UNPACKED:
            raise BodyTooLarge(f"{MOST_UNPACKED} times its packed size")
        handful.grow_to(size)
        body.write(part)
    return body.getvalue()


def _unpacked(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """Parts of at most a piece's size each."""
    kind = encoding.strip().lower()
    if kind in {"", "identity"}:
        return pieces
    if kind in {"gzip", "x-gzip"}:
        return _inflated(pieces, _GZIP)
    if kind == "deflate":
        return _deflated(pieces)
    raise BodyUnreadable


def _deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Some servers leave zlib's frame out; its first two bytes tell."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) > 1:
            break
    has_frame = len(head) > 1 and head[0] & 15 == 8 and int.from_bytes(head[:2]) % 31 == 0
    return _inflated(chain([head] if head else [], pieces), _ZLIB if has_frame else _BARE)


def _inflated(pieces: Iterator[bytes], form: int) -> Iterator[bytes]:
    """Unpacked member by member; what follows the last one is no concern of ours."""
    unpacker, has_begun = zlib.decompressobj(form), False
    for piece in pieces:
        rest, has_begun = piece, True
        while rest:
            if unpacker.eof:
                if form != _GZIP or rest[:1] != b"\x1f":  # padding
                    break
                unpacker = zlib.decompressobj(form)
            try:
                yield unpacker.decompress(rest, _PIECE_BYTES)
            except zlib.error:
                raise BodyUnreadable from None
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    while not unpacker.eof and (part := unpacker.decompress(b"", _PIECE_BYTES)):
        yield part
    if has_begun and not unpacker.eof:
        raise BodyUnreadable
