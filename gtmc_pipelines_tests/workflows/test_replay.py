"""Recorded histories replay: a deploy doesn't break the syncs that are running."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from gtmc_pipelines.workflows.inputs import RENORMALIZE_WORKFLOW, SCHEDULED_WORKFLOW, SYNC_WORKFLOW
from gtmc_pipelines.workflows.payloads import DATA_CONVERTER
from gtmc_pipelines.workflows.worker import WORKFLOWS, workflow_runner
from gtmc_pipelines_tests.workflows.record_histories import SCENARIOS

STARTED = "workflowExecutionStartedEventAttributes"
HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


@pytest.mark.parametrize("recorded", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_replays(recorded: Path) -> None:
    replayer = Replayer(workflows=WORKFLOWS, data_converter=DATA_CONVERTER, workflow_runner=workflow_runner())
    history = WorkflowHistory.from_json(recorded.stem, recorded.read_text())
    asyncio.run(replayer.replay_workflow(history))


def test_the_kept_histories_cover_every_way_a_workflow_ends() -> None:
    assert {path.stem for path in HISTORIES} >= set(SCENARIOS)


def test_every_workflow_has_kept_histories() -> None:
    kept = Counter(json.loads(path.read_text())["events"][0][STARTED]["workflowType"]["name"] for path in HISTORIES)
    assert len(WORKFLOWS) == 3
    assert min(kept[name] for name in (SYNC_WORKFLOW, RENORMALIZE_WORKFLOW, SCHEDULED_WORKFLOW)) >= 4
