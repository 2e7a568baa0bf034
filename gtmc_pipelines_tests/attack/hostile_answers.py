"""What a hostile server says over a raw socket: one function per mode, each piece sent as it comes.

Beside these are the modes that never end (`connectors/hostile_vendor.py`). Numbers in them are the dice's.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from random import Random

_OK = b"HTTP/1.1 200 OK\r\n"
_BOMB = gzip.compress(b"\0" * 30_000_000)

Mode = Callable[[Random], Iterator[bytes]]


def _said(*pieces: bytes) -> Mode:
    return lambda _dice: iter(pieces)


def _sized(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def _noise(dice: Random) -> Iterator[bytes]:
    yield dice.randbytes(dice.randrange(1, 5000))


def _headers_without_number(dice: Random) -> Iterator[bytes]:
    yield _OK + b"".join(b"X-%d: %d\r\n" % (number, dice.randrange(9)) for number in range(5000)) + b"\r\n"


def _one_long_header(_dice: Random) -> Iterator[bytes]:
    yield _OK + b"X-Long: "
    for _ in range(64):
        yield b"a" * 65_536
    yield b"\r\n\r\n"


def _odd_length(dice: Random) -> Iterator[bytes]:
    lengths = (b"-1", b"1e9", b"0x10", b"99999999999999999999", b"2, 3", b"", b"+2", b"nan")
    yield _OK + b"Content-Length: " + dice.choice(lengths) + b"\r\n\r\n{}"


def _two_lengths(_dice: Random) -> Iterator[bytes]:
    yield _OK + b"Content-Length: 2\r\nContent-Length: 90\r\nTransfer-Encoding: chunked\r\n\r\n{}"


def _cut_anywhere(dice: Random) -> Iterator[bytes]:
    whole = _sized(b'{"records": []}' * 50, b"Content-Type: application/json")
    yield whole[: dice.randrange(len(whole))]


def _odd_chunk(dice: Random) -> Iterator[bytes]:
    sizes = (b"-1", b"FFFFFFFFFFFFFFFF", b"zz", b"", b"7fffffff", b"0x2", b"2 2")
    yield _OK + b"Transfer-Encoding: chunked\r\n\r\n" + dice.choice(sizes) + b"\r\n{}\r\n0\r\n\r\n"


def _odd_status(dice: Random) -> Iterator[bytes]:
    lines = (
        b"HTTP/1.1 999 Odd",
        b"HTTP/1.1 000",
        b"HTTP/1.1 -1 No",
        b"HTTP/9.9 200 OK",
        b"200 OK",
        b"HTTP/1.1",
        b"ICY 200 OK",
    )
    yield dice.choice(lines) + b"\r\nContent-Length: 2\r\n\r\n{}"


def _broken_gzip(dice: Random) -> Iterator[bytes]:
    packed = bytearray(gzip.compress(b'{"a": 1}' * 500))
    packed[dice.randrange(len(packed))] ^= 0xFF
    yield _sized(bytes(packed), b"Content-Encoding: gzip")


def _cut_gzip(dice: Random) -> Iterator[bytes]:
    packed = gzip.compress(dice.randbytes(5000))
    yield _sized(packed[: dice.randrange(len(packed))], b"Content-Encoding: gzip")


def _deflate_bomb(_dice: Random) -> Iterator[bytes]:
    yield _sized(zlib.compress(b"\0" * 30_000_000), b"Content-Encoding: deflate")


def _packed_twice(_dice: Random) -> Iterator[bytes]:
    yield _sized(gzip.compress(gzip.compress(b"\0" * 3_000_000)), b"Content-Encoding: gzip, gzip")


def _unknown_packing(dice: Random) -> Iterator[bytes]:
    yield _sized(dice.randbytes(500), b"Content-Encoding: " + dice.choice((b"br", b"zstd", b"x", b"gzip, br", b"\xff")))


def _body_without_end(_dice: Random) -> Iterator[bytes]:
    yield _OK + b"\r\n"
    for _ in range(200):
        yield b"x" * 262_144


def _wishes_to_wait(dice: Random) -> Iterator[bytes]:
    odd = (
        b"1e300",
        b"-5",
        b"nan",
        b"inf",
        b"99999999999999999999",
        b"Fri, 31 Dec 2319 23:59:59 GMT",
        b"tomorrow",
        b"0",
        b"1 2",
    )
    yield _sized(b"{}", b"Retry-After: " + dice.choice(odd), status=dice.choice((b"429 No", b"503 Busy")))


def _redirects(dice: Random) -> Iterator[bytes]:
    places = (
        b"http://127.0.0.1:1/",
        b"file:///etc/passwd",
        b"//evil.example",
        b"\xff\xfe",
        b"",
        b"https://evil.example/\r\n X: y",
    )
    yield _sized(b"", b"Location: " + dice.choice(places), status=dice.choice((b"301 M", b"302 F", b"307 T", b"308 P")))


def _cookies(_dice: Random) -> Iterator[bytes]:
    yield _sized(b"{}", *(b"Set-Cookie: c%d=%b; Domain=.example" % (number, b"v" * 4000) for number in range(60)))


def _folded_headers(_dice: Random) -> Iterator[bytes]:
    yield _OK + b"X-A: b\r\n c\r\n\td\r\nContent-Length: 2\r\n\r\n{}"


def _two_answers(_dice: Random) -> Iterator[bytes]:
    yield _sized(b"{}") + _sized(b'{"smuggled": true}')


MODES: dict[str, Mode] = {
    "noise": _noise,
    "nothing": _said(),
    "bare line end": _said(b"\r\n\r\n"),
    "no headers": _said(b"<html>busy</html>"),
    "not found in HTTP/0.9": _said(b"Not Found\n"),
    "a TLS alert in plain": _said(b"\x15\x03\x01\x00\x02\x02\x28"),
    "null bytes": _said(_OK + b"X: \0\0\r\nContent-Length: 2\r\n\r\n{}"),
    "another protocol": _said(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"),
    "no content with a body": _said(b"HTTP/1.1 204 No Content\r\n\r\n" + b"x" * 5000),
    "not modified": _said(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n"),
    "gzip bomb": _said(_sized(_BOMB, b"Content-Encoding: gzip")),
    **{
        made.__name__.strip("_").replace("_", " "): made
        for made in (
            *(
                _headers_without_number,
                _one_long_header,
                _odd_length,
                _two_lengths,
                _cut_anywhere,
                _odd_chunk,
                _odd_status,
            ),
            *(_broken_gzip, _cut_gzip, _deflate_bomb, _packed_twice, _unknown_packing, _body_without_end),
            *(_wishes_to_wait, _redirects, _cookies, _folded_headers, _two_answers),
        )
    },
}
"""By what the server does; each ends by hanging up."""
