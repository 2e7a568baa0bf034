"""What a vendor may send instead of a good page: neighbours are written, nothing is lost, nothing is half-written."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.statements import rows
from gtmc_pipelines_tests.connectors.salesforce_scene import Org
from gtmc_pipelines_tests.journeys.desk import Desk

pytestmark = pytest.mark.services

PAGE = 500


@pytest.fixture
def here(tenant: str, connected: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """Options that name a tenant and its connected Salesforce."""
    return connected(tenant)


def test_an_unparsable_page_fails_the_stream_and_the_next_sync_goes_on_where_it_stood(
    desk: Desk, here: tuple[str, ...], tenant: str, org: Org, database: Database
) -> None:
    small = desk.with_(GTMC_PAGE_RECORDS=str(PAGE))
    org.break_("malformed_page", path="queryAll|query/", after=2)
    with small.worker():
        desk.gtmc("sync", *here, "--full", "--stream", "contacts").refuses("Salesforce")
        people, raw = _people(database, tenant), _raw(database, tenant)
        assert people <= set(org.truth("Contact"))
        assert people <= raw
        assert len(raw) % PAGE == 0
        org.ask("DELETE", "knobs")
        done = desk.gtmc("sync", *here, "--full", "--stream", "contacts", "--json")
    assert done.status == 0, done.err
    assert _people(database, tenant) == set(org.truth("Contact"))
    books = json.loads(done.out)["totals"]
    assert books["read"] == sum(count for name, count in books.items() if name != "read")


def test_a_record_without_an_id_is_a_dead_letter_and_its_neighbours_are_written(
    desk: Desk, here: tuple[str, ...], tenant: str, org: Org, database: Database
) -> None:
    org.break_("record_without_id", path="query", count=1)
    with desk.worker():
        done = desk.gtmc("sync", *here, "--full", "--stream", "accounts", "--json")
    assert done.status == 0, done.err
    totals = json.loads(done.out)["totals"]
    assert totals["failed"] == 1
    assert totals["read"] == sum(count for name, count in totals.items() if name != "read")
    (letter,) = json.loads(desk.gtmc("dead-letters", "list", "--tenant", tenant, "--json").out)
    assert letter["stream"] == "accounts"
    assert letter["reason_code"]
    shown = desk.gtmc("dead-letters", "show", str(letter["id"]), "--tenant", tenant)
    assert shown.status == 0
    names = {record["Name"] for record in org.truth("Account").values()}
    assert not any(name in shown.out for name in names)


def _people(database: Database, tenant: str) -> set[str]:
    with database.tenant(tenant) as handle:
        return {row["external_id"] for row in rows(handle, "SELECT external_id FROM people WHERE deleted_at IS NULL")}


def _raw(database: Database, tenant: str) -> set[str]:
    with database.tenant(tenant) as handle:
        return {row["external_id"] for row in rows(handle, "SELECT external_id FROM raw.salesforce_contacts")}
