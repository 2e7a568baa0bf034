"""A sweep in which something unexpected happens to one tenant: the others are recorded all the same."""

from __future__ import annotations

import dagster as dg
import pytest

from gtmc_pipelines.defs import tenant_sync
from gtmc_pipelines.defs.metadata import SyncFacts
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import SyncLog
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines_tests.defs.conftest import Connect, Materialize
from gtmc_pipelines_tests.defs.reading import log_lines, sentence, stored_events
from gtmc_pipelines_tests.workflows.scripted import CANARY_EMAIL, ScriptedConnector

pytestmark = pytest.mark.services


@pytest.mark.usefixtures("worker")
def test_an_unexpected_exception_is_one_tenants_failure_and_its_words_are_kept_back(
    tenant: str,
    scripted: ScriptedConnector,
    connect: Connect,
    materialize: Materialize,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = [f"{tenant}-{number}" for number in (2, 3)]
    connect(tenant)
    for other in others:
        add_tenant(database, other)
        connect(other)
    facts_of = tenant_sync.facts_of

    def spoilt(log: SyncLog, *, url: str) -> SyncFacts:
        if log.tenant_id == tenant:
            raise ValueError(f"a log that holds {CANARY_EMAIL}")
        return facts_of(log, url=url)

    monkeypatch.setattr(tenant_sync, "facts_of", spoilt)
    result = materialize(tenant_ids=[tenant, *others])
    assert sentence(result).startswith(f"1 of 3 tenants failed. {tenant}: The sync could not be followed: unexpected")
    assert {event.partition for event in stored_events(result, instance)} == {*others}
    (lines,) = [line for line in log_lines(result, instance) if f"{tenant}: unexpected ValueError" in line]
    assert "in _facts" in lines
    assert CANARY_EMAIL not in "".join(log_lines(result, instance)) + sentence(result)
