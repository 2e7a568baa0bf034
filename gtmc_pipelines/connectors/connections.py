"""Connections of a vendor session: every socket held by its request's deadline, every answer's framing metered."""

from __future__ import annotations

import http.client
import io
import logging
import socket
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from gtmc_pipelines.connectors.deadlines import create_connection, current

logging.getLogger("urllib3.connection").setLevel(logging.ERROR)  # its warnings hold whole addresses and headers

MOST_FRAMING_BYTES = 1024 * 1024
"""What an answer may have besides its body: interim answers, headers, sizes of chunks, trailers."""

_FRAMING_OF_A_BYTE = 8  # chunks of a single byte have that much around it


class FramingTooLarge(Exception):
    """An answer has more around its body than any body needs: it may be endless."""


class _Meter(io.RawIOBase):
    """The bytes of one answer as they arrive; no more than were allowed."""

    def __init__(self, source: io.RawIOBase) -> None:
        super().__init__()
        self._source = source
        self._left = MOST_FRAMING_BYTES

    def allow(self, count: int) -> None:
        """So many bytes of the body have been read."""
        self._left += count * _FRAMING_OF_A_BYTE

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._source.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise FramingTooLarge
        return count

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


class MeteredResponse(http.client.HTTPResponse):
    """An answer that can't keep its reader busy with anything but a body."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._meter = _Meter(self.fp.detach())
        self.fp = io.BufferedReader(self._meter)

    def read1(self, n: int = -1) -> bytes:
        """As ever; what is read of the body may have its share of framing."""
        data = super().read1(n)
        self._meter.allow(len(data))
        return data


class HeldConnection(HTTPConnection):
    """A connection whose socket the request's deadline can cut, from before it is dialled."""

    response_class = MeteredResponse

    def _new_conn(self) -> socket.socket:
        return dialled(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; a connection that was kept alive is held from here on."""
        deadline = current()
        if deadline is not None and self.sock is not None:
            deadline.hold(self.sock)
        super().request(*args, **kwargs)


class HeldTlsConnection(HeldConnection, HTTPSConnection):
    """The same over TLS, whose handshake is part of the request's time."""


def dialled(connection: HTTPConnection) -> socket.socket:
    """A socket for `connection`, with urllib3's errors."""
    place = (connection._dns_host, connection.port or connection.default_port)
    try:
        return create_connection(place, connection.timeout, connection.source_address, connection.socket_options)
    except socket.gaierror as error:
        raise NameResolutionError(connection.host, connection, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, "the connection timed out") from error
    except OSError as error:
        raise NewConnectionError(connection, "the host can't be reached") from error
