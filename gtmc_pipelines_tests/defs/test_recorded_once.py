"""A sync is recorded once, however many look at that moment whether it is: runs, and the sensor beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from gtmc_pipelines.defs import run_body, sweep
from gtmc_pipelines.defs.names import SYNC_AT_TAG
from gtmc_pipelines.defs.recording import streams_of_assets
from gtmc_pipelines.defs.sensors import observer
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.workflows.client import SyncClient
from gtmc_pipelines.workflows.inputs import SyncRequest
from gtmc_pipelines_tests.defs.conftest import Connect, Materialize
from gtmc_pipelines_tests.defs.sensing import sense
from gtmc_pipelines_tests.workflows.scripted import ScriptedConnector

pytestmark = pytest.mark.services


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("other", ["run", "sweep", "sensor"])
def test_two_who_look_up_at_the_same_moment_record_a_sync_once(
    other: str,
    tenant: str,
    settings: Settings,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = connect(tenant)
    at = datetime.now(UTC) - timedelta(minutes=1)
    parent = instance.create_run_for_job(
        _killed, status=dg.DagsterRunStatus.FAILURE, tags={SYNC_AT_TAG: at.isoformat()}
    )
    cursor = observer.Memory(feed=f'{{"high": "{datetime.now(UTC).isoformat()}"}}').as_text()
    with SyncClient.open(settings) as client:
        assert client.outcome(client.start(SyncRequest(tenant, row.id, row.type), at)).is_success
    moment = Moment(database)
    for place, name in ((run_body, "not_yet_recorded"), (sweep, "not_yet_recorded"), (observer, "is_recorded")):
        monkeypatch.setattr(place, name, moment.between(getattr(place, name)))
    tags = {"dagster/parent_run_id": parent.run_id, "dagster/root_run_id": parent.run_id}
    works: dict[str, Callable[[], Any]] = {
        "run": lambda: materialize(tenant, tags=tags),
        "sweep": lambda: materialize(tags=tags, tenant_ids=[tenant]),
        "sensor": lambda: sense(instance, "syncs_outside_dagster", cursor=cursor),
    }
    first, second = (threading.Thread(target=work) for work in (works["run"], works[other]))
    first.start()
    assert moment.first_has_looked.wait(60)
    second.start()
    for thread in (first, second):
        thread.join()
    for key in streams_of_assets(row.type):
        found = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[tenant]), limit=9)
        assert len(found.records) == 1, key


class Moment:
    """The first to have looked up goes on once the second has looked up, too, or waits for its turn."""

    def __init__(self, database: Database) -> None:
        self.first_has_looked, self._second_has_looked = threading.Event(), threading.Event()
        self._database = database

    def between(self, look_up: Callable[..., Any]) -> Callable[..., Any]:
        """The same look-up, whose answer is held back until that moment."""

        def held_back(*args: Any) -> Any:
            answer = look_up(*args)
            if self.first_has_looked.is_set():
                self._second_has_looked.set()
            else:
                self.first_has_looked.set()
                while not self._second_has_looked.wait(0.1) and not self._somebody_waits():
                    pass
            return answer

        return held_back

    def _somebody_waits(self) -> bool:
        with self._database.fleet() as handle:
            return bool(rows(handle, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))


@dg.job
def _killed() -> None:
    pass
