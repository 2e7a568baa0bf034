"""Workflows that an earlier commit left in Temporal's file, ten of them open: today's code takes them up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from gtmc_pipelines.stack.ports import free_port
from gtmc_pipelines.stack.temporal import EmbeddedTemporal
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.inputs import RENORMALIZE_WORKFLOW, SCHEDULED_WORKFLOW, SYNC_WORKFLOW
from gtmc_pipelines.workflows.worker import WORKFLOWS, workflow_runner
from gtmc_pipelines_tests.fixtures.restored import C2A9A3A, unpacked

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def former_address(services_home: Path) -> Iterator[str]:
    """host:port of a Temporal server on that file."""
    folder = services_home / "former-temporal"
    folder.mkdir()
    (folder / "temporal.db").write_bytes(unpacked(C2A9A3A / "temporal.db.xz"))
    server = EmbeddedTemporal(folder, port=free_port(), ui_port=free_port())
    server.start()
    yield server.address
    server.stop()


def test_what_the_former_server_left_open_replays(former_address: str) -> None:
    """Closed ones too, but those that ended like many others: `make nightly` has all of them gone on with."""
    histories, kinds = asyncio.run(_fetched(former_address))
    open_ones = {name: number for (name, status), number in kinds.items() if status == WorkflowExecutionStatus.RUNNING}
    assert open_ones == {SYNC_WORKFLOW: 6, RENORMALIZE_WORKFLOW: 3, SCHEDULED_WORKFLOW: 1}
    assert {status.name for _, status in kinds} == {"RUNNING", "COMPLETED", "FAILED", "CONTINUED_AS_NEW"}
    asyncio.run(_replayed(histories))


async def _fetched(address: str) -> tuple[list[WorkflowHistory], Counter[tuple[str, WorkflowExecutionStatus]]]:
    client: Client = await connect(address, "default")
    listed = [each async for each in client.list_workflows()]
    kinds = Counter((each.workflow_type, each.status) for each in listed if each.status is not None)
    chosen = [each for each in listed if kinds[each.workflow_type, each.status] < 10]  # type: ignore[index]
    handles = [client.get_workflow_handle(each.id, run_id=each.run_id) for each in chosen]
    return list(await asyncio.gather(*(handle.fetch_history() for handle in handles))), kinds


async def _replayed(histories: list[WorkflowHistory]) -> None:
    async def each() -> AsyncIterator[WorkflowHistory]:
        for history in histories:
            yield history

    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=workflow_runner())
    done = await replayer.replay_workflows(each())  # raises for the first that doesn't
    assert done.replay_failures == {}
