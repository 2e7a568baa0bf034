"""One sync of a connector at a time, and no writing after a takeover."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from gtmc_pipelines.model.errors import Broken
from gtmc_pipelines.storage import leases
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database, begin_tenant

pytestmark = pytest.mark.services


def _take(database: Database, connector: ConnectorRow, run: str, dead_run: str | None = None) -> int | leases.Held:
    with database.tenant(connector.tenant_id) as connection:
        return leases.take(connection, connector.tenant_id, connector.id, run, f"workflow-{run}", dead_run)


def _release(database: Database, connector: ConnectorRow, run: str) -> bool:
    with database.tenant(connector.tenant_id) as connection:
        return leases.release(connection, connector.tenant_id, connector.id, run)


def _assert_fence(database: Database, connector: ConnectorRow, token: int) -> None:
    with database.tenant(connector.tenant_id) as connection:
        leases.assert_fence(connection, connector.tenant_id, connector.id, token)


def test_of_twenty_five_takers_at_once_one_is_the_owner(database: Database, connector: ConnectorRow) -> None:
    with ThreadPoolExecutor(25) as pool:
        results = list(pool.map(lambda number: _take(database, connector, f"run-{number}"), range(25)))
    tokens = [result for result in results if isinstance(result, int)]
    holders = {result.owner_run for result in results if isinstance(result, leases.Held)}
    assert tokens == [1]
    assert len(holders) == 1
    assert isinstance(results[int(holders.pop().removeprefix("run-"))], int)


def test_the_owner_taking_again_keeps_its_token(database: Database, connector: ConnectorRow) -> None:
    assert [_take(database, connector, "a"), _take(database, connector, "a")] == [1, 1]


def test_a_free_lease_passes_on_with_a_higher_token(database: Database, connector: ConnectorRow) -> None:
    assert _take(database, connector, "a") == 1
    assert _release(database, connector, "a")
    assert _take(database, connector, "b") == 2


def test_only_the_owner_releases(database: Database, connector: ConnectorRow) -> None:
    _take(database, connector, "a")
    assert not _release(database, connector, "b")
    held = _take(database, connector, "b")
    assert isinstance(held, leases.Held)
    assert (held.owner_run, held.owner_workflow) == ("a", "workflow-a")


def test_a_dead_holder_is_replaced_and_may_not_write_any_more(database: Database, connector: ConnectorRow) -> None:
    assert _take(database, connector, "dead") == 1
    assert _take(database, connector, "heir", dead_run="dead") == 2
    _assert_fence(database, connector, 2)
    with pytest.raises(Broken) as raised:
        _assert_fence(database, connector, 1)
    assert raised.value.code == "lease_lost"


def test_only_the_holder_named_dead_is_replaced(database: Database, connector: ConnectorRow) -> None:
    _take(database, connector, "alive")
    assert isinstance(_take(database, connector, "heir", dead_run="somebody-else"), leases.Held)


def test_of_many_heirs_of_one_dead_holder_one_takes_over(database: Database, connector: ConnectorRow) -> None:
    _take(database, connector, "dead")
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda number: _take(database, connector, f"heir-{number}", "dead"), range(12)))
    assert [result for result in results if isinstance(result, int)] == [2]


def test_a_released_lease_lets_nobody_write_with_its_old_token(database: Database, connector: ConnectorRow) -> None:
    _take(database, connector, "a")
    _release(database, connector, "a")
    with pytest.raises(Broken):
        _assert_fence(database, connector, 1)


def test_a_takeover_waits_for_the_batch_that_holds_the_fence(
    database: Database, connector: ConnectorRow, writer: psycopg.Connection[Any]
) -> None:
    _take(database, connector, "slow")
    writer.commit()
    begin_tenant(writer, connector.tenant_id)
    leases.assert_fence(writer, connector.tenant_id, connector.id, 1)
    with ThreadPoolExecutor(1) as pool:
        heir = pool.submit(_take, database, connector, "heir", "slow")
        with pytest.raises(TimeoutError):
            heir.result(timeout=0.2)
        writer.commit()
        assert heir.result(timeout=10) == 2
