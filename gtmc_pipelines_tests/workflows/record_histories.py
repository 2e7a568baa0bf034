"""Records the histories that test_replay replays; run it by hand when the workflow has changed on purpose.

    pytest gtmc_pipelines_tests/workflows/record_histories.py

A history already kept is not overwritten: open workflows of an older release must still replay.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry
from gtmc_pipelines.storage.dead_letters import NewLetter, upsert_letters
from gtmc_pipelines.storage.mappings import save_mapping
from gtmc_pipelines.storage.renormalize import raw_page
from gtmc_pipelines.workflows.activities import renormalize, replay
from gtmc_pipelines.workflows.client import SyncHandle
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.inputs import RENORMALIZE_WORKFLOW, SCHEDULED_WORKFLOW, SYNC_WORKFLOW, ScheduledRequest
from gtmc_pipelines_tests.workflows.conftest import Stage, history_of
from gtmc_pipelines_tests.workflows.scripted import STAMP, Gate, ScriptedConnector, people

FOLDER = Path(__file__).parent / "histories"

pytestmark = pytest.mark.services


def _complete(stage: Stage) -> tuple[str]:
    stage.connector.script = {"contacts": [people(5), Retry("busy", "Busy.", after_seconds=0.05)]}
    return _ended(stage)


def _stream_failed(stage: Stage) -> tuple[str]:
    stage.connector.script = {"contacts": [Broken("bad_page", "The page can't be parsed.")]}
    return _ended(stage)


def _reauthorize(stage: Stage) -> tuple[str]:
    stage.connector.on_authenticate = Reauthorize("grant_revoked", "The grant was revoked.")
    return _ended(stage)


def _deferred(stage: Stage) -> tuple[str]:
    stage.connector.script = {"contacts": [Defer("quota", "The daily quota is used up.", until=STAMP)]}
    return _ended(stage)


def _cancelled(stage: Stage) -> tuple[str]:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    stage.client.cancel(handle, actor="cli:someone")
    stage.client.outcome(handle)
    gate.opened.set()
    return (handle.workflow_id,)


def _continued(stage: Stage) -> tuple[str]:
    stage.connector.script = {"contacts": [people(2000, start) for start in range(0, 6_000, 2000)]}
    return _outcome(stage, stage.start(segments_per_run=2))


def _ended(stage: Stage) -> tuple[str]:
    return _outcome(stage, stage.start())


def _outcome(stage: Stage, handle: SyncHandle) -> tuple[str]:
    stage.client.outcome(handle)
    return (handle.workflow_id,)


def _again(stage: Stage, **more: Any) -> SyncHandle:
    """A re-normalisation of three people that were synced before."""
    stage.connector.script = {"contacts": [people(300 if more else 3)]}
    stage.sync()
    return stage.client.renormalize(stage.request(**more), datetime.now(UTC))


def _renormalize_complete(stage: Stage) -> tuple[str]:
    return _outcome(stage, _again(stage))


def _renormalize_failed(stage: Stage) -> tuple[str]:
    entry = {"sourceField": "Name", "targetField": "lastName", "transform": "sideways"}
    save_mapping(stage.database, stage.tenant, stage.row.id, Entity.PERSON, [entry])
    return _outcome(stage, _again(stage))


def _renormalize_cancelled(stage: Stage) -> tuple[str]:
    gate = Gate()

    def held(*arguments: Any) -> Any:
        gate()
        return raw_page(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renormalize, "raw_page", held)
        handle = _again(stage)
        assert gate.reached.wait(20)
        stage.client.cancel(handle, actor="cli:someone")
        gate.opened.set()
        return _outcome(stage, handle)


def _renormalize_duplicate(stage: Stage) -> tuple[str]:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(3)]}
    stage.start()
    assert gate.reached.wait(20)
    handle = stage.client.renormalize(stage.request(), datetime.now(UTC))
    assert stage.client.outcome_within(handle, 1) is None
    gate.opened.set()
    return _outcome(stage, handle)


def _renormalize_continued(stage: Stage) -> tuple[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renormalize, "PAGE_RECORDS", 50)
        patch.setattr(renormalize, "raw_page", lambda *named: raw_page(*named, limit=50))
        return _outcome(stage, _again(stage, segments_per_run=2))


def _replay_complete(stage: Stage) -> tuple[str]:
    kept = [NewLetter(each.external_id, "write", "batch_failed", "").keeping(each) for each in people(3)]
    with stage.database.tenant(stage.tenant) as handle:
        upsert_letters(handle, stage.tenant, stage.row.id, "contacts", kept)
    return _outcome(stage, stage.client.replay(stage.request(), datetime.now(UTC)))


def _scheduled_complete(stage: Stage) -> tuple[str, str]:
    return _sweep(stage)


def _scheduled_child_failed(stage: Stage) -> tuple[str, str]:
    stage.connector.on_authenticate = Reauthorize("grant_revoked", "The grant was revoked.")
    return _sweep(stage)


def _scheduled_cancelled(stage: Stage) -> tuple[str, str]:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(3)]}
    return _sweep(stage, gate)


def _scheduled_continuing(stage: Stage) -> tuple[str, str]:
    return _sweep(stage, per_run=1)


def _sweep(stage: Stage, gate: Gate | None = None, **more: Any) -> tuple[str, str]:
    """A scheduled sweep over the stage's tenant, cancelled once its child has come to the gate; its first run."""

    async def run() -> tuple[str, str]:
        client: Client = await connect(stage.settings.required("temporal_address"), stage.settings.temporal_namespace)
        request = ScheduledRequest(stage.tenant, at=datetime(2026, 2, 1, tzinfo=UTC), **more)
        name, queue = f"sweep-{stage.tenant}", stage.settings.task_queue
        handle: WorkflowHandle[Any, Any] = await client.start_workflow(
            SCHEDULED_WORKFLOW, request, id=name, task_queue=queue
        )
        if gate is not None:
            assert await asyncio.to_thread(gate.reached.wait, 20)
            await handle.cancel()
            gate.opened.set()
        try:
            await handle.result()
        except WorkflowFailureError:
            assert gate is not None
        return name, handle.first_execution_run_id or ""

    return asyncio.run(run())


def _documented(stage: Stage) -> tuple[str]:
    stage.connector.script = {"contacts": [people(5)]}
    return _as_documented(stage, SYNC_WORKFLOW, {"tenantId": stage.tenant, "connectorId": stage.row.id})


def _documented_refused(stage: Stage) -> tuple[str]:
    return _as_documented(stage, SYNC_WORKFLOW, {"tenantId": stage.tenant, "fullsync": True})


def _documented_renormalize(stage: Stage) -> tuple[str]:
    stage.connector.script = {"contacts": [people(3)]}
    stage.sync()
    return _as_documented(stage, RENORMALIZE_WORKFLOW, {"tenantId": stage.tenant, "connectorId": stage.row.id})


def _documented_scheduled(stage: Stage) -> tuple[str]:
    return _as_documented(stage, SCHEDULED_WORKFLOW, {"tenantId": stage.tenant})


def _as_documented(stage: Stage, workflow: str, given: dict[str, Any]) -> tuple[str]:
    """A workflow started as the platform's app starts it: named by hand, no search attributes."""
    name = f"documented-{stage.tenant}"

    async def run() -> None:
        client: Client = await connect(stage.settings.required("temporal_address"), stage.settings.temporal_namespace)
        with suppress(WorkflowFailureError):
            await client.execute_workflow(workflow, given, id=name, task_queue=stage.settings.task_queue)

    asyncio.run(run())
    return (name,)


SCENARIOS: dict[str, Callable[[Stage], tuple[str] | tuple[str, str]]] = {
    "complete": _complete,
    "stream_failed": _stream_failed,
    "reauthorize": _reauthorize,
    "deferred": _deferred,
    "cancelled": _cancelled,
    "continued": _continued,
    "renormalize_complete": _renormalize_complete,
    "renormalize_failed": _renormalize_failed,
    "renormalize_cancelled": _renormalize_cancelled,
    "renormalize_duplicate": _renormalize_duplicate,
    "renormalize_continued": _renormalize_continued,
    "replay_complete": _replay_complete,
    "scheduled_complete": _scheduled_complete,
    "scheduled_child_failed": _scheduled_child_failed,
    "scheduled_cancelled": _scheduled_cancelled,
    "scheduled_continuing": _scheduled_continuing,
    "documented": _documented,
    "documented_refused": _documented_refused,
    "documented_renormalize": _documented_renormalize,
    "documented_scheduled": _documented_scheduled,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_record(name: str, make_stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    target = FOLDER / f"{name}.json"
    if target.exists():
        return
    for module in (renormalize, replay):
        monkeypatch.setattr(module, "connector_of", lambda kind: ScriptedConnector())
    with make_stage(segment_records=100 if name.endswith("continued") else 100_000) as stage:
        history = history_of(stage.settings, *SCENARIOS[name](stage))
    target.write_text(_of_no_machine(history))


def _of_no_machine(history: str) -> str:
    """Without the names and paths of the machine it was recorded on; replaying needs neither."""
    history = re.sub(r'"[0-9]+@[^"]*"', '"a worker"', history)
    return re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history)
