"""Dagster's storage as `dagster.yaml` configures it: real, and without a new connection for every statement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml
from sqlalchemy import make_url, text

from gtmc_pipelines.defs.kept_connections import KeptConnectionsStorage
from gtmc_pipelines_tests.house.rules import ROOT

pytestmark = pytest.mark.services


@pytest.fixture
def instance(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance of the repository's dagster.yaml on a new database."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS dagster_kept WITH (FORCE)")
        connection.execute("CREATE DATABASE dagster_kept")
    url = make_url(postgres_url).set(drivername="postgresql+psycopg2", database="dagster_kept")
    monkeypatch.setenv("DAGSTER_PG_URL", url.render_as_string(hide_password=False))
    (tmp_path / "dagster.yaml").write_text((ROOT / "gtmc_pipelines" / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as found:
        yield found


@dg.asset(check_specs=[dg.AssetCheckSpec("whole", asset="thing")])
def thing() -> Iterator[dg.MaterializeResult[None]]:
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="whole")])


def test_statements_one_after_the_other_share_a_connection(instance: dg.DagsterInstance) -> None:
    events = instance.event_log_storage
    backends = set()
    for _ in range(3):
        with events.index_transaction() as connection:
            backends.add(connection.execute(text("SELECT pg_backend_pid()")).scalar())
    assert len(backends) == 1


def test_runs_and_their_events_are_stored_and_found_again(instance: dg.DagsterInstance) -> None:
    assert dg.materialize([thing], instance=instance).success
    event = instance.get_latest_materialization_event(dg.AssetKey("thing"))
    assert event is not None
    assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS]
    found = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("thing"), "whole"), limit=5
    )
    assert [record.status.value for record in found] == ["SUCCEEDED"]


def test_it_takes_the_settings_of_dagsters_own_storage() -> None:
    configured = yaml.safe_load((ROOT / "gtmc_pipelines" / "dagster.yaml").read_text())["storage"]["custom"]
    assert configured["class"] == KeptConnectionsStorage.__name__
    assert configured["module"] == KeptConnectionsStorage.__module__
    assert set(configured["config"]) <= set(KeptConnectionsStorage.config_type())
