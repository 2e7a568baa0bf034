"""All vendors in one process and one event loop: each at the root of its own http and https port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from gtmc_pipelines.sandbox.certificates import issue
from gtmc_pipelines.sandbox.control import Control
from gtmc_pipelines.sandbox.gate import TRANSPORT_FAULTS, Gate
from gtmc_pipelines.sandbox.journal import Journal
from gtmc_pipelines.sandbox.knobs import Knobs
from gtmc_pipelines.sandbox.options import SandboxMisuse, SandboxOptions
from gtmc_pipelines.sandbox.registry import VENDORS, vendors_of
from gtmc_pipelines.sandbox.vendor import Vendor

STATE_FILE = "sandbox-state.json"


class Sandbox:
    """One sandbox, not yet listening: its vendors, journal and knobs.

    Raises SandboxMisuse for an unknown vendor or size.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.journal = Journal()
        self.knobs = Knobs(options.seed, TRANSPORT_FAULTS)
        self.vendors = vendors_of(options, self.knobs)
        for vendor in self.vendors:
            self.knobs.learn(vendor.faults)
            vendor.changed = self.keep_soon
        self._control = Control(self.journal, self.knobs, self.keep_soon)
        self._keeping: asyncio.TimerHandle | None = None
        self._restore()

    def app_of(self, vendor: Vendor) -> Gate:
        """The ASGI application of one vendor's ports."""
        return Gate(vendor, self._control.app, self.journal, self.knobs)

    def keep_soon(self) -> None:
        """Write the state down shortly: many changes in a row cost one write."""
        if self.options.state_dir and self._keeping is None:
            self._keeping = asyncio.get_running_loop().call_later(0.5, self.keep)

    def keep(self) -> None:
        """Write mutations and grants to the state folder, if there is one: atomically."""
        self._keeping = None
        if self.options.state_dir is None:
            return
        state = {"seed": self.options.seed, "vendors": {vendor.name: vendor.dump() for vendor in self.vendors}}
        path = self.options.state_dir / STATE_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(state))
        draft.replace(path)

    def _restore(self) -> None:
        path = self.options.state_dir / STATE_FILE if self.options.state_dir else None
        if path is None or not path.exists():
            return
        state = json.loads(path.read_text())
        if state["seed"] != self.options.seed:
            raise SandboxMisuse(f"{path} was written with --seed {state['seed']}: use that seed or another folder.")
        for vendor in self.vendors:
            if vendor.name in state["vendors"]:
                vendor.load(state["vendors"][vendor.name])


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Several servers share the process: none of them may take its signals."""
        yield


@contextlib.asynccontextmanager
async def serving(options: SandboxOptions) -> AsyncIterator[dict[str, Any]]:
    """Listen on all ports while the block runs; gives the announcement (addresses, credentials, CA path)."""
    sandbox = Sandbox(options)
    with contextlib.ExitStack() as stack:
        folder = options.state_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gtmc-sandbox-")))
        ca_file, server_file = issue(folder)
        servers, announced = [], {}
        for vendor in sandbox.vendors:
            ports = [_listen(options, vendor.name, step) for step in (0, 1)]
            for listener, certificate in zip(ports, (None, server_file), strict=True):
                stack.callback(listener.close)
                servers.append((_server(sandbox.app_of(vendor), certificate), listener))
            announced[vendor.name] = _announcement(vendor, options.host, *(port.getsockname()[1] for port in ports))
        tasks = [asyncio.create_task(server.serve(sockets=[listener])) for server, listener in servers]
        while not all(server.started for server, _ in servers):
            await asyncio.sleep(0.005)
        try:
            yield {"vendors": announced, "ca_file": str(ca_file.resolve()), "seed": options.seed}
        finally:
            for server, _ in servers:
                server.should_exit = True
            await asyncio.gather(*tasks)
            sandbox.keep()


def serve(options: SandboxOptions, announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is called once everything listens. For a process of its own."""
    asyncio.run(_until_signal(options, announce))


async def _until_signal(options: SandboxOptions, announce: Callable[[dict[str, Any]], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(options) as announcement:
        announce(announcement)
        await stop.wait()


def _listen(options: SandboxOptions, vendor: str, step: int) -> socket.socket:
    position = list(VENDORS).index(vendor)
    port = options.first_port + 2 * position + step if options.first_port else 0
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: else asyncio leaves Nagle on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, port))
    except OSError as error:
        listener.close()
        raise SandboxMisuse(f"{options.host}:{port} can't be used for {vendor}: {error.strerror}.") from None
    listener.listen(2048)
    return listener


def _server(app: Gate, certificate: Path | None) -> _Server:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # cut connections are on purpose here
    return _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=120,
            timeout_graceful_shutdown=1,
            ssl_certfile=certificate,
        )
    )


def _announcement(vendor: Vendor, host: str, http: int, https: int) -> dict[str, Any]:
    base = f"http://{host}:{http}"
    return {
        "http": base,
        "https": f"https://{host}:{https}",
        "credentials": vendor.credentials(),
        "docs": f"{base}/_sandbox/docs",
    }
