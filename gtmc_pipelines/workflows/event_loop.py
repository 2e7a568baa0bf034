"""An event loop in a thread of its own, so that synchronous callers can hold a Temporal client."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_LINGER_SECONDS = 0.05  # closing at once segfaults some interpreters at exit (reference/temporal.md, 21)
_TICK_SECONDS = 0.5


class EventLoopThread:
    """Runs coroutines from any thread; Ctrl-C reaches the caller within half a second."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="temporal-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], on_wait: Callable[[], None] | None = None) -> T:
        """The coroutine's result, or its exception. An interrupted caller cancels it.

        `on_wait` is called twice a second meanwhile and may raise to leave, which cancels it too.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                done, _ = concurrent.futures.wait([future], timeout=_TICK_SECONDS)
                if done:
                    return future.result()
                if on_wait is not None:
                    on_wait()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Let the SDK's own threads finish, then stop the loop. Nothing may be running on it any more."""
        self.run(asyncio.sleep(_LINGER_SECONDS))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
