"""Attacks by a server over real sockets: whatever it says, the call ends in time with an answer or a fault of ours.

Nothing is left of a call: no socket, no thread; and what it took of memory is bounded.
"""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

import psutil

from gtmc_pipelines.connectors.contract import ConnectorSettings, HttpLimits
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.model.errors import GtmcError
from gtmc_pipelines_tests.attack.attempt import Kind, Tried
from gtmc_pipelines_tests.attack.hostile_answers import MODES
from gtmc_pipelines_tests.attack.stage import Stage
from gtmc_pipelines_tests.connectors.hostile_vendor import DRIPS, FLOODS, hostile

_SECONDS = 0.25
_IN_TIME = 10.0  # of a busy machine; the fault tells that the deadline has struck
_MOST_BODY_BYTES = 2_000_000
_MOST_MORE_KILOBYTES = 200_000


class VendorAttack:
    """Calls a hostile server once an attempt, with a session of its own."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._memory_before = _peak_kilobytes()
        self._threads_before = threading.active_count()

    def attempt(self, dice: Random) -> Tried:
        """One call; which mode comes by the dice, each as often as any other."""
        mode = dice.choice((*MODES, *DRIPS, *FLOODS))
        began = time.monotonic()
        came_through = self._ended(mode) if mode not in MODES else self._answered(mode, dice)
        took = time.monotonic() - began
        return Tried(mode, came_through or (f"it took {took:.1f} seconds" if took > _IN_TIME else None))

    def aftermath(self) -> list[str]:
        """Memory and threads that are more than before."""
        more = _peak_kilobytes() - self._memory_before
        left = [thread.name for thread in threading.enumerate() if not thread.daemon][self._threads_before + 1 :]
        found = [f"memory grew by {more // 1000} MB"] if more > _MOST_MORE_KILOBYTES else []
        return found + ([f"threads are left: {left}"] if left else [])

    def _ended(self, mode: str) -> str | None:
        """A mode that has no end by itself."""
        with hostile(mode) as vendor:
            return _call(vendor.settings(total_seconds=_SECONDS, max_attempts=1), vendor.host)

    def _answered(self, mode: str, dice: Random) -> str | None:
        def answer() -> None:
            caller, _ = self._server.accept()
            with caller, suppress(OSError):  # they may have hung up on us
                caller.settimeout(_IN_TIME)
                caller.recv(65_536)
                for piece in MODES[mode](dice):
                    caller.sendall(piece)

        thread = threading.Thread(target=answer, name="hostile server", daemon=True)
        thread.start()
        host = f"127.0.0.1:{self._server.getsockname()[1]}"
        limits = HttpLimits(total_seconds=5.0, max_attempts=1, max_body_bytes=_MOST_BODY_BYTES)
        what = _call(ConnectorSettings("acme", "c-1", sandbox_hosts=frozenset({host}), http=limits), host)
        thread.join(_IN_TIME)
        return what


def _call(settings: ConnectorSettings, host: str) -> str | None:
    """Ask for a page. An answer must be within the bounds; what is raised must be a fault of ours, in words."""
    what = None
    with VendorSession("Acme", settings) as session:
        try:
            answer = session.get(f"http://{host}/page?q=canary-question")
            if len(answer.content) > settings.http.max_body_bytes:
                what = f"a body of {len(answer.content):,} bytes was taken"
            elif answer.history:
                what = "a redirect was followed"
        except GtmcError as fault:
            what = "the fault repeats the question" if "canary-question" in f"{fault} {fault!r}" else None
    port = int(host.rpartition(":")[2])
    still = [each for each in psutil.Process().net_connections("tcp") if each.raddr and each.raddr.port == port]
    return what or ("a socket is left open" if still else None)


def _peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def _opened(_stage: Stage) -> Iterator[VendorAttack]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield VendorAttack(server)


KIND = Kind("vendors", "a call doesn't end in time, takes all memory, or leaves something", 600, 24, _opened)
