"""Ports on 127.0.0.1: the usual one when it is free, else the next free one."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import socket
import tempfile
from pathlib import Path

from gtmc_pipelines.model.errors import Misuse

USUAL_PORTS = {
    "postgres": 55432,
    "temporal": 7233,
    "temporal_ui": 8233,
    "dagster": 3000,
    "sandbox": 8800,  # the first of ten
}
_NEXT_PORTS = 200
_reserved: dict[int, int] = {}  # port to descriptor: a lock ends with its file, so the files stay open


def is_free(port: int) -> bool:
    """Whether nothing listens on 127.0.0.1:`port`. A port in TIME_WAIT counts as free, as servers treat it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return not answers(port)  # a listener with SO_REUSEPORT on 0.0.0.0 would have let us bind


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a TCP connection to `host`:`port` is accepted within half a second."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def answers_http(port: int, path: str, *, containing: bytes = b"") -> bool:
    """Whether `GET path` on 127.0.0.1 is answered within two seconds with a 2xx and a body `containing` this.

    Asks directly, whatever proxy is configured.
    """
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return 200 <= answer.status < 300 and containing in answer.read()
        except (OSError, http.client.HTTPException):
            return False


def free_port(preferred: int | None = None) -> int:
    """`preferred` or one of the ports after it when free, else any free port."""
    if preferred is not None:
        for port in range(preferred, min(preferred + _NEXT_PORTS, 65_536)):
            if is_free(port) and _reserve(port):
                return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _reserve(port: int) -> bool:
    """Claim a port until this process ends: between the choice and the server's bind another stack may be choosing."""
    if port in _reserved:
        return True
    folder = Path(tempfile.gettempdir()) / f"gtmc-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    claim = os.open(folder / str(port), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        return False
    _reserved[port] = claim
    return True


def free_range(preferred: int, length: int) -> int:
    """The first of `length` free ports in a row, at `preferred` or a multiple of `length` after it."""
    for first in range(preferred, preferred + _NEXT_PORTS * length, length):
        if all(is_free(port) and _reserve(port) for port in range(first, first + length)):
            return first
    raise Misuse(
        "no_free_ports",
        f"No {length} free ports in a row were found above {preferred}.",
        next_step="Stop what listens there; `gtmc doctor` lists the usual ports.",
    )
