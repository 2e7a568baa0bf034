"""Sync logs add up and are closed once; cursors keep what they are given."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.errors import Broken, Misuse
from gtmc_pipelines.model.phases import Outcome, Phase, SyncMode, SyncStatus, Trigger
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.cursors import StreamState, get_state, list_states, put_state
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import SyncLog, finished_since, get_sync, list_syncs, require_sync
from gtmc_pipelines.storage.sync_logs import add_counts, close_sync_log, open_sync_log, set_phase

pytestmark = pytest.mark.services

SHEET = Counts(read=10, created=4, updated=2, unchanged=1, deleted=1, failed=1, skipped=1)


def _open(database: Database, connector: ConnectorRow, run: str | None = None) -> str:
    with database.tenant(connector.tenant_id) as connection:
        return open_sync_log(
            connection,
            connector.tenant_id,
            connector.id,
            mode=SyncMode.FULL,
            workflow_id=f"sync-{connector.tenant_id}-{connector.id}",
            workflow_run_id=run or uuid.uuid4().hex,
            trigger=Trigger.CLI,
            requested_by="anna",
            dagster_run_id="dagster-1",
            cursor_before="w0",
        )


def _log(database: Database, connector: ConnectorRow, sync: str) -> SyncLog:
    return require_sync(database, connector.tenant_id, sync)


def test_opening_twice_for_one_workflow_run_gives_the_same_log(database: Database, connector: ConnectorRow) -> None:
    first, again, other = (_open(database, connector, run) for run in ("run-1", "run-1", "run-2"))
    assert first == again != other
    log = _log(database, connector, first)
    assert (log.sync_type, log.status, log.phase, log.trigger) == (
        SyncMode.FULL,
        SyncStatus.RUNNING,
        "authenticating",
        "cli",
    )
    assert (log.requested_by, log.dagster_run_id, log.cursor_before, log.seconds) == ("anna", "dagster-1", "w0", None)


def test_counts_of_batches_add_up_by_stream_and_in_total(database: Database, connector: ConnectorRow) -> None:
    sync, tenant = _open(database, connector), connector.tenant_id
    with database.tenant(tenant) as connection:
        add_counts(connection, tenant, sync, "contacts", SHEET)
        add_counts(connection, tenant, sync, "leads", SHEET, state="failed", error="Quota used up.")
        add_counts(connection, tenant, sync, "contacts", SHEET, state="complete", phase=Phase.WRITING)
    log = _log(database, connector, sync)
    assert log.counts == SHEET + SHEET + SHEET
    assert log.counts_of("contacts") == SHEET + SHEET
    assert log.counts_of("leads") == SHEET
    assert log.counts_of("events") == Counts()
    assert log.counts.is_balanced
    assert log.phase == "writing"
    assert log.stream_counts["contacts"]["state"] == "complete"
    assert log.stream_counts["leads"]["error"] == "Quota used up."
    assert "error" not in log.stream_counts["contacts"]


def test_counts_of_batches_that_commit_at_the_same_time_are_all_there(
    database: Database, connector: ConnectorRow
) -> None:
    sync, tenant = _open(database, connector), connector.tenant_id

    def add(number: int) -> None:
        with database.tenant(tenant) as connection:
            add_counts(connection, tenant, sync, f"stream-{number % 3}", SHEET)

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(add, range(30)))
    assert _log(database, connector, sync).counts.read == 300


def test_counts_roll_back_with_the_batch(database: Database, connector: ConnectorRow) -> None:
    sync, tenant = _open(database, connector), connector.tenant_id
    with database.tenant(tenant) as connection:
        add_counts(connection, tenant, sync, "contacts", SHEET)
        connection.rollback()
    assert _log(database, connector, sync).counts == Counts()


def test_counting_on_a_log_of_nobody_is_our_bug(database: Database, tenant: str) -> None:
    with database.tenant(tenant) as connection, pytest.raises(Broken) as raised:
        add_counts(connection, tenant, "no-such-sync", "contacts", SHEET)
    assert raised.value.code == "sync_log_missing"


@pytest.mark.parametrize(
    ("outcome", "status", "phase"),
    [
        (Outcome.COMPLETED, SyncStatus.COMPLETED, "complete"),
        (Outcome.FAILED, SyncStatus.FAILED, "failed"),
        (Outcome.CANCELLED, SyncStatus.FAILED, "failed"),
        (Outcome.DEFERRED, SyncStatus.FAILED, "failed"),
    ],
)
def test_a_log_is_closed_once_and_keeps_its_first_outcome(
    outcome: Outcome, status: SyncStatus, phase: str, database: Database, connector: ConnectorRow
) -> None:
    sync, tenant = _open(database, connector), connector.tenant_id
    until = datetime(2026, 11, 24, tzinfo=UTC)
    with database.tenant(tenant) as connection:
        set_phase(connection, tenant, sync, Phase.FINALIZING)
        assert close_sync_log(
            connection,
            tenant,
            sync,
            outcome,
            error_code="quota",
            error_kind="defer",
            error="Quota used up.",
            deferred_until=until,
            cursor_after="w1",
        )
        assert not close_sync_log(connection, tenant, sync, Outcome.FAILED, error="late")
        set_phase(connection, tenant, sync, Phase.SYNCING)
    log = _log(database, connector, sync)
    assert (log.outcome, log.status, log.phase) == (outcome.value, status, phase)
    assert (log.error_code, log.error_kind, log.error_message) == ("quota", "defer", "Quota used up.")
    assert (log.deferred_until, log.cursor_after) == (until, "w1")
    assert log.seconds is not None


def test_syncs_are_listed_newest_first_and_found_by_either_id(database: Database, connector: ConnectorRow) -> None:
    tenant = connector.tenant_id
    ids = [_open(database, connector) for _ in range(3)]
    assert [log.id for log in list_syncs(database, tenant)] == ids[::-1]
    assert [log.id for log in list_syncs(database, tenant, connector.id, limit=1)] == ids[-1:]
    assert list_syncs(database, tenant, "another") == []
    assert {log.id for log in list_syncs(database, limit=10_000)} >= set(ids)
    assert list_syncs(database, tenant)[0].connector == "salesforce"
    found = get_sync(database, None, f"sync-{tenant}-{connector.id}")
    assert found is not None
    assert found.id == ids[-1]
    assert get_sync(database, "somebody-else", ids[0]) is None
    with pytest.raises(Misuse, match="There is no sync 'x'"):
        require_sync(database, tenant, "x")


def test_finished_syncs_are_seen_across_tenants_and_running_ones_are_not(
    database: Database, connector: ConnectorRow
) -> None:
    done, running = _open(database, connector), _open(database, connector)
    with database.tenant(connector.tenant_id) as connection:
        close_sync_log(connection, connector.tenant_id, done, Outcome.COMPLETED)
    ended = _log(database, connector, done).completed_at
    assert ended is not None
    seen = {log.id for log in finished_since(database, ended)}
    assert done in seen
    assert running not in seen
    assert done not in {log.id for log in finished_since(database, ended + timedelta(microseconds=1))}


def test_a_stream_never_read_has_an_empty_state(database: Database, connector: ConnectorRow) -> None:
    with database.tenant(connector.tenant_id) as connection:
        assert get_state(connection, connector.tenant_id, connector.id, "contacts") == StreamState("contacts")


def test_the_state_of_each_slice_is_kept_apart(database: Database, connector: ConnectorRow) -> None:
    tenant, until = connector.tenant_id, datetime(2026, 11, 23, tzinfo=UTC)
    unfinished = StreamState("mail", "box-1", "page-7", SyncMode.INCREMENTAL, until, "w1", 3, "sync-1")
    other = StreamState("mail", "box-2", watermark="w2")
    with database.tenant(tenant) as connection:
        put_state(connection, tenant, connector.id, unfinished)
        put_state(connection, tenant, connector.id, other)
        stored = list_states(connection, tenant, connector.id)
        assert [replace(state, updated_at=None) for state in stored] == [unfinished, other]
        assert [state.is_unfinished for state in stored] == [True, False]
        put_state(connection, tenant, connector.id, StreamState("mail", "box-1", watermark="w3", generation=3))
        finished = get_state(connection, tenant, connector.id, "mail", "box-1")
    assert (finished.checkpoint, finished.mode, finished.until, finished.watermark) == (None, None, None, "w3")


@pytest.mark.parametrize(
    ("requested_by", "dagster_run", "actor"),
    [("cli:anna", None, "cli:anna"), ("dagster", "run-1", "dagster:run-1"), (None, None, "worker")],
)
def test_a_sync_is_recorded_once_with_who_started_it(
    database: Database, connector: ConnectorRow, requested_by: str | None, dagster_run: str | None, actor: str
) -> None:
    with database.tenant(connector.tenant_id) as handle:
        for _ in range(2):  # a retried activity opens it again
            open_sync_log(
                handle,
                connector.tenant_id,
                connector.id,
                mode=SyncMode.FULL,
                workflow_id="sync-1",
                workflow_run_id="run-1",
                trigger=Trigger.MANUAL,
                requested_by=requested_by,
                dagster_run_id=dagster_run,
            )
        found = [one for one in list_entries(handle, connector.tenant_id, 9) if one.action == "sync.start"]
    assert [(one.actor, one.changes["after"]["mode"]) for one in found] == [(actor, "full")]
