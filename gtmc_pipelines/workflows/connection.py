"""One way to reach Temporal: address from the settings, TLS and API key as every Temporal tool reads them."""

from __future__ import annotations

import asyncio
from typing import Any

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError

from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.workflows.payloads import DATA_CONVERTER

CONNECT_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


async def connect(
    address: str, namespace: str, *, runtime: Runtime | None = None, identity: str = "", patience_seconds: float = 1.0
) -> Client:
    """A connected client. Raises Misuse in one sentence otherwise, within about five seconds.

    A server that refuses is asked again for `patience_seconds`: it may be starting. TLS and API key
    come from the TEMPORAL_* variables of temporalio.envconfig; per-user profile files are not read,
    so that a machine's leftovers can't redirect a worker.
    """
    options: dict[str, Any] = dict(ClientConfig.load_client_connect_config(disable_file=True))
    options |= {"target_host": address, "namespace": namespace, "data_converter": DATA_CONVERTER}
    if runtime is not None:
        options["runtime"] = runtime
    if identity:
        options["identity"] = identity
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience_seconds
    while True:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await Client.connect(**options)
        except (RuntimeError, RPCError, TimeoutError):
            if clock() >= deadline:
                raise unreachable(address) from None
        await asyncio.sleep(_PAUSE_SECONDS)


def unreachable(address: str) -> Misuse:
    """The error for a Temporal server that doesn't answer."""
    return Misuse(
        "temporal_unreachable",
        f"Temporal at {address} can't be reached.",
        next_step="Start it (`gtmc up` starts an embedded one), or correct TEMPORAL_ADDRESS and its TLS settings.",
    )
