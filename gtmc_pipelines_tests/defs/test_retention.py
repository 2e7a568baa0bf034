"""Retention of Dagster's event log: what goes, what stays, and that no status is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.storage.event_log.base import EventLogStorage
from sqlalchemy import make_url

from gtmc_pipelines.defs.retention import RetentionConfig, event_log_retention

pytestmark = pytest.mark.services

TENANTS = dg.DynamicPartitionsDefinition(name="kept_tenants")
KEY = dg.AssetKey("kept")


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


@dg.asset(key=KEY, partitions_def=TENANTS)
def kept() -> None:
    pass


def _events(instance: dg.DagsterInstance) -> list[tuple[str | None, str | None]]:
    storage: EventLogStorage = instance.event_log_storage
    with storage.index_connection() as connection:  # type: ignore[attr-defined]
        found = connection.exec_driver_sql("SELECT dagster_event_type, partition FROM event_logs").fetchall()
    return [tuple(row) for row in found]


def _age(instance: dg.DagsterInstance, days: int) -> None:
    storage: EventLogStorage = instance.event_log_storage
    with storage.index_transaction() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(f"UPDATE event_logs SET timestamp = timestamp - interval '{days} days'")


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
