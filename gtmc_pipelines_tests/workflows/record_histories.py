"""Records the histories that test_replay replays; run it by hand when the workflow has changed on purpose.

    pytest gtmc_pipelines_tests/workflows/record_histories.py

A history already kept is not overwritten: open workflows of an older release must still replay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gtmc_pipelines.model.errors import Broken, Defer, Reauthorize, Retry
from gtmc_pipelines_tests.workflows.conftest import Stage, history_of
from gtmc_pipelines_tests.workflows.scripted import STAMP, Gate, people

FOLDER = Path(__file__).parent / "histories"

pytestmark = pytest.mark.services


def _complete(stage: Stage) -> str:
    stage.connector.script = {"contacts": [people(5), Retry("busy", "Busy.", after_seconds=0.05)]}
    return _ended(stage)


def _stream_failed(stage: Stage) -> str:
    stage.connector.script = {"contacts": [Broken("bad_page", "The page can't be parsed.")]}
    return _ended(stage)


def _reauthorize(stage: Stage) -> str:
    stage.connector.on_authenticate = Reauthorize("grant_revoked", "The grant was revoked.")
    return _ended(stage)


def _deferred(stage: Stage) -> str:
    stage.connector.script = {"contacts": [Defer("quota", "The daily quota is used up.", until=STAMP)]}
    return _ended(stage)


def _cancelled(stage: Stage) -> str:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    stage.client.cancel(handle, actor="cli:someone")
    stage.client.outcome(handle)
    gate.opened.set()
    return handle.workflow_id


def _continued(stage: Stage) -> str:
    stage.connector.script = {"contacts": [people(2000, start) for start in range(0, 6_000, 2000)]}
    handle = stage.start(segments_per_run=2)
    stage.client.outcome(handle)
    return handle.workflow_id


def _ended(stage: Stage) -> str:
    handle = stage.start()
    stage.client.outcome(handle)
    return handle.workflow_id


SCENARIOS: dict[str, Callable[[Stage], str]] = {
    "complete": _complete,
    "stream_failed": _stream_failed,
    "reauthorize": _reauthorize,
    "deferred": _deferred,
    "cancelled": _cancelled,
    "continued": _continued,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_record(name: str, make_stage: Any) -> None:
    target = FOLDER / f"{name}.json"
    if target.exists():
        return
    with make_stage(segment_records=100 if name == "continued" else 100_000) as stage:
        history = history_of(stage.settings, SCENARIOS[name](stage))
    target.write_text(_of_no_machine(history))


def _of_no_machine(history: str) -> str:
    """Without the names and paths of the machine it was recorded on; replaying needs neither."""
    history = re.sub(r'"[0-9]+@[^"]*"', '"a worker"', history)
    return re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', history)
