"""An account of a vendor is one tenant's: refused to others without naming anybody, unless an operator allows it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.storage import connection_owners, connector_states
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.engine import Database, begin_tenant
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines.storage.tenant_removal import remove_tenant
from gtmc_pipelines.storage.tenants import add_tenant

pytestmark = pytest.mark.services

KIND = ConnectorType.FATHOM


class Holder:
    """A tenant's connector that holds accounts."""

    def __init__(self, database: Database) -> None:
        self.database, self.tenant = database, f"holder-{uuid.uuid4().hex[:12]}"
        add_tenant(database, self.tenant)
        self.connector = add_connector(database, self.tenant, KIND).id

    def claim(self, *accounts: str, may_share: bool = False) -> str:
        """`held`, or the code of the refusal, which names neither an account nor another tenant."""
        refusals: list[Misuse] = []
        try:
            with self.database.tenant(self.tenant) as handle:
                connection_owners.claim(handle, self.tenant, self.connector, KIND, accounts, may_share=may_share)
        except Misuse as refusal:
            refusals.append(refusal)
        for each in refusals:
            assert not any(word in str(each).replace(self.tenant, "") for word in ("holder-", *accounts))
        return refusals[0].code if refusals else "held"

    @property
    def seats(self) -> int:
        """How many rows of the table this tenant sees."""
        with self.database.tenant(self.tenant) as handle:
            return len(rows(handle, "SELECT FROM connection_owners"))


@pytest.fixture
def three(database: Database) -> Iterator[tuple[Holder, Holder, Holder]]:
    """Three tenants, gone again afterwards."""
    found = (Holder(database), Holder(database), Holder(database))
    yield found
    for each in found:
        connector_states.disconnect(database, each.tenant, each.connector)


@pytest.fixture
def account() -> str:
    """An account no other test knows."""
    return uuid.uuid4().hex


def test_the_second_tenant_is_refused_and_sees_nothing(three: tuple[Holder, Holder, Holder], account: str) -> None:
    first, second, _ = three
    assert first.claim(account) == "held"
    assert second.claim(f"{account}-2", account) == "account_held"
    assert (first.seats, second.seats) == (1, 0)
    assert first.claim(account) == "held", "connecting again"
    assert second.claim(f"{account}-2") == "held"


def test_who_is_allowed_shares_and_a_third_one_is_refused_whoever_leaves(
    three: tuple[Holder, Holder, Holder], account: str, database: Database
) -> None:
    first, second, third = three
    assert [first.claim(account), second.claim(account, may_share=True)] == ["held", "held"]
    assert [first.claim(account), second.claim(account)] == ["held", "held"], "both connect again"
    connector_states.disconnect(database, first.tenant, first.connector)
    assert third.claim(account) == "account_held"
    assert first.claim(account) == "account_held"
    connector_states.disconnect(database, second.tenant, second.connector)
    assert third.claim(account) == "held"


def test_another_account_frees_the_one_before(three: tuple[Holder, Holder, Holder], account: str) -> None:
    first, second, _ = three
    assert first.claim(account, f"{account}-2") == "held"
    assert first.claim(f"{account}-2") == "held"
    assert second.claim(account) == "held"


def test_a_removed_tenant_holds_nothing(three: tuple[Holder, Holder, Holder], account: str, database: Database) -> None:
    gone = Holder(database)
    assert gone.claim(account) == "held"
    remove_tenant(database, gone.tenant, actor="ada")
    assert three[0].claim(account) == "held"


def test_of_tenants_that_try_at_once_one_wins(database: Database, account: str) -> None:
    holders = [Holder(database) for _ in range(6)]
    start = Barrier(len(holders))

    def claim(holder: Holder) -> str:
        start.wait()
        return holder.claim(account)

    with ThreadPoolExecutor(len(holders)) as pool:
        assert sorted(pool.map(claim, holders)) == ["account_held"] * 5 + ["held"]
    for each in holders:
        connector_states.disconnect(database, each.tenant, each.connector)


def test_an_account_of_another_vendor_is_another_account(
    three: tuple[Holder, Holder, Holder], account: str, database: Database
) -> None:
    first, second, _ = three
    assert first.claim(account) == "held"
    with database.tenant(second.tenant) as handle:
        connection_owners.claim(handle, second.tenant, second.connector, ConnectorType.DELIVRAI, [account])


def test_nobody_can_take_a_seat_in_anothers_name(
    three: tuple[Holder, Holder, Holder], account: str, database: Database
) -> None:
    first, second, _ = three
    assert first.claim(account) == "held"
    values = (second.tenant, second.connector)
    with database.raw_connection() as connection:
        begin_tenant(connection, first.tenant)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO connection_owners VALUES ('fathom', '\\x00', 0, %s, %s)", values)
        connection.rollback()
        begin_tenant(connection, first.tenant)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("UPDATE connection_owners SET seat = 3")
        connection.rollback()
