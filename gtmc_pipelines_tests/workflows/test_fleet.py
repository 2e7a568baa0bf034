"""Many syncs: the scheduled sweep, stuck connectors, and the feed of closed syncs."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Reauthorize, Retry
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.leases import Held
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.connection import connect
from gtmc_pipelines.workflows.inputs import SCHEDULED_WORKFLOW, ScheduledOutcome, ScheduledRequest
from gtmc_pipelines.workflows.stuck import free_stuck
from gtmc_pipelines_tests.workflows.conftest import Stage
from gtmc_pipelines_tests.workflows.scripted import Gate, people

pytestmark = pytest.mark.services


def _sweep(settings: Settings, request: ScheduledRequest) -> ScheduledOutcome:
    async def run() -> ScheduledOutcome:
        client = await connect(settings.required("temporal_address"), settings.temporal_namespace)
        outcome: ScheduledOutcome = await client.execute_workflow(
            SCHEDULED_WORKFLOW,
            request,
            id=f"sweep-{request.tenant_id}",
            task_queue=settings.task_queue,
            result_type=ScheduledOutcome,
        )
        return outcome

    return asyncio.run(run())


def _terminate(settings: Settings, workflow_id: str) -> None:
    async def run() -> None:
        client: Client = await connect(settings.required("temporal_address"), settings.temporal_namespace)
        await client.get_workflow_handle(workflow_id).terminate()

    asyncio.run(run())


def test_a_sweep_syncs_connected_connectors_and_counts_them(stage: Stage) -> None:
    stage.connector.script = {"contacts": [people(5)]}
    request = ScheduledRequest(stage.tenant, at=datetime(2026, 2, 1, tzinfo=UTC), per_run=1)
    assert _sweep(stage.settings, request) == ScheduledOutcome(1, 1, 0)
    assert len(stage.ids()) == 5


def test_a_failing_child_is_counted_and_not_raised(stage: Stage) -> None:
    stage.connector.on_authenticate = Reauthorize("grant_revoked", "The grant was revoked.")
    request = ScheduledRequest(stage.tenant, at=datetime(2026, 2, 1, tzinfo=UTC))
    assert _sweep(stage.settings, request) == ScheduledOutcome(1, 0, 1)


def test_a_connector_whose_workflow_was_terminated_is_freed(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    assert stage.status is ConnectorStatus.SYNCING
    early = [each for each in stage.client.free_stuck(stage.database) if each.tenant_id == stage.tenant]
    assert early == [], "a running sync is left alone"
    _terminate(stage.settings, handle.workflow_id)
    gate.opened.set()
    freed = [each for each in stage.client.free_stuck(stage.database) if each.tenant_id == stage.tenant]
    assert [each.workflow_id for each in freed] == [handle.workflow_id]
    assert stage.status is ConnectorStatus.ERROR
    assert "without closing its books" in str(stage.now.last_sync_error)
    assert stage.lease is None
    assert stage.client.outcome(handle).error_code == "terminated"


def test_a_dead_holders_lease_is_taken_over_by_the_next_sync(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    dead = stage.start()
    assert gate.reached.wait(20)
    _terminate(stage.settings, dead.workflow_id)
    gate.opened.set()
    outcome = stage.sync()
    assert outcome.is_success
    assert not outcome.held_by
    assert stage.status is ConnectorStatus.CONNECTED


def test_in_doubt_nothing_is_freed(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)

    def doubtful(_: Held) -> bool:
        raise Retry("temporal_doubtful", "Nobody answered.")

    with pytest.raises(Retry):
        free_stuck(stage.database, doubtful)
    gate.opened.set()
    assert stage.client.outcome(handle).is_success


@pytest.mark.parametrize("namespace", ["temporal-system", "no-such-namespace"])
def test_a_process_with_another_namespace_frees_no_running_sync(stage: Stage, namespace: str) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    settings = stage.settings.model_copy(update={"temporal_namespace": namespace})
    with SyncClient.open(settings) as astray, suppress(Retry):  # in doubt about what another test has left behind
        astray.free_stuck(stage.database)
    assert stage.status is ConnectorStatus.SYNCING
    gate.opened.set()
    assert stage.client.outcome(handle).is_success


def test_in_a_namespace_that_is_not_there_no_workflow_counts_as_ended(stage: Stage) -> None:
    gate = Gate()
    stage.connector.script = {"contacts": [gate, people(5)]}
    handle = stage.start()
    assert gate.reached.wait(20)
    with stage.database.tenant(stage.tenant) as connection:  # as a lease taken before leases named their namespace
        run(connection, "UPDATE connector_leases SET owner_namespace = NULL")
    with SyncClient.open(stage.settings.model_copy(update={"temporal_namespace": "no-such-namespace"})) as astray:
        stuck = _without_a_workflow(stage.database)
        assert stuck.id in {freed.connector_id for freed in astray.free_stuck(stage.database)}
        with pytest.raises(Retry, match=r"no namespace 'no-such-namespace'.*TEMPORAL_NAMESPACE"):
            astray.free_stuck(stage.database)
        with pytest.raises(Retry):
            astray.is_running(handle)
    gate.opened.set()
    assert stage.client.outcome(handle).is_success


def _without_a_workflow(database: Database) -> ConnectorRow:
    """A connector of another tenant that is on `syncing` although nobody holds its lease."""
    tenant = f"stuck-{uuid.uuid4().hex[:12]}"
    add_tenant(database, tenant)
    row = add_connector(database, tenant, "fathom")
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.SYNCING)
    return row


@pytest.mark.parametrize("limit", [1, 3])
def test_the_feed_gives_every_closed_sync_once_however_small_its_pages(stage: Stage, limit: int) -> None:
    wanted = {stage.start(at=datetime.now(UTC) + timedelta(seconds=n)).workflow_id for n in range(4)}
    for name in wanted:
        stage.client.outcome(name)
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        page = stage.client.closed_since(cursor, limit=limit)
        cursor = page.cursor
        assert len(page.syncs) <= limit
        if not page.syncs:
            break
        seen += [sync for sync in page.syncs if sync.tenant_id == stage.tenant]
    assert sorted(sync.workflow_id for sync in seen) == sorted(wanted)
    assert {sync.connector_type for sync in seen} == {"salesforce"}
