"""Retention of Dagster's event log: what goes, what stays, and that no status is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.storage.event_log.base import EventLogStorage
from sqlalchemy import make_url

from gtmc_pipelines.defs.retention import RetentionConfig, event_log_retention

pytestmark = pytest.mark.services

TENANTS = dg.DynamicPartitionsDefinition(name="kept_tenants")
KEY = dg.AssetKey(["salesforce", "raw", "contacts"])
OTHERS = dg.AssetKey(["theirs", "contacts"])


@pytest.fixture
def instance(postgres_url: str) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance whose events are in PostgreSQL."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS dagster_events")
        connection.execute("CREATE DATABASE dagster_events")
    url = make_url(postgres_url).set(drivername="postgresql+psycopg2", database="dagster_events")
    overrides: dict[str, Any] = {"storage": {"postgres": {"postgres_url": url.render_as_string(hide_password=False)}}}
    with dg.instance_for_test(overrides=overrides) as found:
        yield found


@dg.asset(key=KEY, partitions_def=TENANTS, check_specs=[dg.AssetCheckSpec("fresh", asset=KEY)])
def kept() -> Iterator[Any]:
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="fresh", passed=True)])


@dg.asset(key=OTHERS, check_specs=[dg.AssetCheckSpec("fresh", asset=OTHERS)])
def theirs() -> Iterator[Any]:
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(check_name="fresh", passed=True)])


def _events(instance: dg.DagsterInstance) -> list[tuple[str | None, str | None]]:
    storage: EventLogStorage = instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        found = connection.exec_driver_sql("SELECT dagster_event_type, partition FROM event_logs").fetchall()
    return [tuple(row) for row in found]


def _age(instance: dg.DagsterInstance, days: int) -> None:
    storage: EventLogStorage = instance.event_log_storage
    with storage.index_transaction() as connection:  # type: ignore[attr-defined]
        for table, column in (("event_logs", "timestamp"), ("asset_check_executions", "evaluation_event_timestamp")):
            connection.exec_driver_sql(f"UPDATE {table} SET {column} = {column} - interval '{days} days'")


def test_old_lines_go_and_the_newest_materialization_of_every_partition_stays(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("kept_tenants", ["acme", "globex"])
    for tenant in ("acme", "acme", "globex"):
        dg.materialize([kept], instance=instance, partition_key=tenant)
    _age(instance, 100)
    dg.materialize([kept], instance=instance, partition_key="globex")
    recent = len(_events(instance))
    assert event_log_retention.execute_in_process(instance=instance).success
    left = [(kind, tenant) for kind, tenant in _events(instance) if kind == "ASSET_MATERIALIZATION"]
    assert sorted(str(tenant) for _, tenant in left) == ["acme", "globex"]
    assert len(_events(instance)) < recent
    statuses = instance.get_status_by_partition(KEY, ["acme", "globex"], TENANTS) or {}
    assert {key: status.value if status else None for key, status in statuses.items()} == {
        "acme": "MATERIALIZED",
        "globex": "MATERIALIZED",
    }


def test_nothing_younger_than_asked_for_goes(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("kept_tenants", ["acme"])
    dg.materialize([kept], instance=instance, partition_key="acme")
    before = _events(instance)
    event_log_retention.execute_in_process(
        instance=instance, run_config=dg.RunConfig(ops={"purge_event_log": RetentionConfig(operational_days=1)})
    )
    assert set(before) <= set(_events(instance))


def test_a_check_keeps_its_newest_answer_and_the_event_it_came_from(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("kept_tenants", ["acme"])
    for _ in range(3):
        dg.materialize([kept], instance=instance, partition_key="acme")
    _age(instance, 100)
    newest = _answers(instance, KEY)[0]
    assert event_log_retention.execute_in_process(instance=instance).success
    assert _answers(instance, KEY) == [newest]
    assert [kind for kind, _ in _events(instance) if "CHECK" in str(kind)] == ["ASSET_CHECK_EVALUATION"]
    check = dg.AssetCheckKey(KEY, "fresh")
    (summary,) = instance.event_log_storage.get_asset_check_summary_records([check]).values()
    assert summary.last_check_execution_record is not None


def test_runs_and_assets_of_others_are_left_alone(instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        dg.materialize([theirs], instance=instance)
    _nobodys.execute_in_process(instance=instance)
    _age(instance, 400)
    before, answers = _events(instance), _answers(instance, OTHERS)
    assert event_log_retention.execute_in_process(instance=instance).success
    assert Counter(before) - Counter(_events(instance)) == Counter()
    assert _answers(instance, OTHERS) == answers
    assert len(answers) == 2


def test_what_belongs_to_no_run_goes_by_its_asset(instance: dg.DagsterInstance) -> None:
    for key in (KEY, OTHERS):
        instance.report_runless_asset_event(dg.AssetObservation(key))  # kept, and of no run like the next
        changed = FreshnessStateChange(
            key=key, new_state=FreshnessState.FAIL, previous_state=FreshnessState.PASS, state_change_timestamp=0.0
        )
        instance.report_runless_asset_event(changed)
    _age(instance, 100)
    assert event_log_retention.execute_in_process(instance=instance).success
    storage: EventLogStorage = instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        left = connection.exec_driver_sql(
            "SELECT asset_key FROM event_logs WHERE dagster_event_type = 'FRESHNESS_STATE_CHANGE'"
        ).fetchall()
    assert [key for (key,) in left] == [OTHERS.to_string()]


def test_a_job_of_others_that_writes_to_our_asset_keeps_its_log(instance: dg.DagsterInstance) -> None:
    _theirs_too.execute_in_process(instance=instance)
    _age(instance, 100)
    before = Counter(_events(instance))
    assert event_log_retention.execute_in_process(instance=instance).success
    assert before - Counter(_events(instance)) == Counter()


def test_old_lines_of_our_jobs_go_even_of_a_run_that_came_to_no_asset(instance: dg.DagsterInstance) -> None:
    event_log_retention.execute_in_process(instance=instance)
    _age(instance, 100)
    assert "STEP_START" in dict(_events(instance))
    result = event_log_retention.execute_in_process(instance=instance)
    left = [entry.dagster_event_type for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]
    assert left.count(dg.DagsterEventType.STEP_START) == 1, "its own"
    assert result.success


def _answers(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[int]:
    records = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(key, "fresh"), limit=9)
    return [record.id for record in records]


@dg.op
def _nothing() -> None:
    pass


@dg.job
def _nobodys() -> None:
    _nothing()


@dg.op
def _touches_ours() -> Iterator[Any]:
    yield dg.AssetMaterialization(KEY)
    yield dg.Output(None)


@dg.job
def _theirs_too() -> None:
    _touches_ours()
