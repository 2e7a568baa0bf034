"""A Dagster run that dies leaves its workflow running, and a re-execution attaches to that very workflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.model.phases import Outcome
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import SyncLog, list_syncs
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines_tests.defs import conftest as dagster_fixtures
from gtmc_pipelines_tests.workflows.scripted import Gate, ScriptedConnector, people

pytestmark = pytest.mark.services

environment = dagster_fixtures.environment
settings = dagster_fixtures.settings
scripted = dagster_fixtures.scripted
worker = dagster_fixtures.worker
connect = dagster_fixtures.connect

KEY = dg.AssetKey(["salesforce", "canonical", "people"])


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that other processes use too."""
    with dg.instance_for_test(temp_dir=str(tmp_path)) as found:
        yield found


@pytest.fixture
def launch(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Dagster runs in processes of their own."""
    children: list[subprocess.Popen[bytes]] = []

    def start(tenant: str, *parent: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gtmc_pipelines_tests.journeys.dagster_child", tenant, *parent]
        with (tmp_path / f"run-{len(children)}.log").open("wb") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, env=_child_environment(tmp_path, environment))
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait(10)


@pytest.mark.usefixtures("worker")
def test_a_killed_run_leaves_its_workflow_running_and_a_re_execution_attaches_to_it(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Any,
    settings: Settings,
    database: Database,
    instance: dg.DagsterInstance,
    launch: Callable[..., subprocess.Popen[bytes]],
) -> None:
    gate = _gated(scripted, connect, tenant)
    first = launch(tenant)
    assert gate.reached.wait(60)
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    (log,) = list_syncs(database, tenant)
    with SyncClient.open(settings) as client:
        assert client.is_running(str(log.workflow_id))

    (killed,) = instance.get_runs()
    second = launch(tenant, killed.run_id)
    _until(lambda: any(str(log.workflow_id) in line for line in _lines(instance, except_run=killed.run_id)), 60)
    gate.opened.set()
    assert second.wait(60) == 0
    (only,) = list_syncs(database, tenant)
    assert (only.id, only.outcome, only.dagster_run_id) == (log.id, Outcome.COMPLETED, killed.run_id)
    event = instance.get_latest_materialization_event(KEY)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.run_id != killed.run_id
    assert event.asset_materialization.metadata["created"].value == 4


@pytest.mark.usefixtures("worker")
def test_terminating_a_run_cancels_its_workflow_and_what_was_written_stays(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Any,
    database: Database,
    instance: dg.DagsterInstance,
    launch: Callable[..., subprocess.Popen[bytes]],
) -> None:
    gate = _gated(scripted, connect, tenant)
    child = launch(tenant)
    assert gate.reached.wait(60)
    _until(lambda: any("phase: " in line for line in _lines(instance)), 30)
    (run,) = instance.get_runs()
    instance.report_run_canceling(run)  # what Terminate in the UI does before it signals the process
    child.send_signal(signal.SIGINT)
    _until(lambda: any("asked to stop" in line for line in _lines(instance)), 30)
    gate.opened.set()
    _until(lambda: _newest(database, tenant).completed_at is not None, 60)
    assert _newest(database, tenant).outcome == Outcome.CANCELLED
    with database.tenant(tenant) as handle:
        (cancelled,) = list_entries(handle, tenant, 1, action="sync.cancel")
    assert cancelled.actor == f"dagster:{run.run_id}"
    child.wait(30)
    stored = instance.get_run_by_id(run.run_id)
    assert stored is not None
    assert stored.status is dg.DagsterRunStatus.CANCELED


@pytest.mark.usefixtures("worker")
def test_a_run_whose_machine_goes_down_leaves_the_workflow_alone(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Any,
    database: Database,
    instance: dg.DagsterInstance,
    launch: Callable[..., subprocess.Popen[bytes]],
) -> None:
    gate = _gated(scripted, connect, tenant)
    child = launch(tenant)
    assert gate.reached.wait(60)
    _until(lambda: any("phase: " in line for line in _lines(instance)), 30)
    child.send_signal(signal.SIGINT)  # nobody asked Dagster to terminate the run
    child.wait(30)
    gate.opened.set()
    _until(lambda: _newest(database, tenant).completed_at is not None, 60)
    assert _newest(database, tenant).outcome == Outcome.COMPLETED


class PatientGate(Gate):
    """A gate that waits as long as two more processes may need to come up on a busy machine."""

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(150)


def _gated(scripted: ScriptedConnector, connect: Any, tenant: str) -> PatientGate:
    """Connect the tenant; its contacts stop after two records until the gate is opened."""
    connect(tenant)
    gate = PatientGate()
    scripted.script = {"contacts": [people(2), gate, people(2, start=2)]}
    return gate


def _child_environment(home: Path, environment: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **environment, "DAGSTER_HOME": str(home)}


def _newest(database: Database, tenant: str) -> SyncLog:
    return list_syncs(database, tenant)[0]


def _lines(instance: dg.DagsterInstance, except_run: str = "") -> list[str]:
    """What our own code said in the runs of this instance."""
    return [
        entry.user_message
        for run in instance.get_runs()
        if run.run_id != except_run
        for entry in instance.all_logs(run.run_id)
        if not entry.is_dagster_event
    ]


def _until(is_true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
