"""A sandbox in a thread of the caller's process: for tests and notebooks, where a process of its own is too much."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.server import serving


@contextmanager
def running(options: SandboxOptions | None = None) -> Iterator[dict[str, Any]]:
    """Serve while the block runs; gives the same announcement as `gtmc sandbox --json`.

    Raises what kept it from starting, SandboxMisuse for wrong options.
    """
    ready: SimpleQueue[Any] = SimpleQueue()

    async def live() -> None:
        stop = asyncio.Event()
        async with serving(options or SandboxOptions()) as announcement:
            ready.put((announcement, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except Exception as error:  # noqa: BLE001 - raised again in the thread that asked
            ready.put(error)

    thread = threading.Thread(target=run, name="sandbox", daemon=True)
    thread.start()
    first = ready.get()
    if isinstance(first, Exception):
        raise first
    announcement, loop, stop = first
    try:
        yield announcement
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
