"""What a user types or leaves unstarted: each mistake is one sentence with the next step, and nothing is written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.sync_history import list_syncs
from gtmc_pipelines_tests.journeys.desk import Desk

pytestmark = pytest.mark.services

AT_ONCE = 15.0  # seconds; the start of Python and a connection's time limit included, on a busy machine


@pytest.fixture
def here(tenant: str, connected: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """Options that name a tenant and its connected Salesforce."""
    return connected(tenant)


def test_unknown_names_are_met_with_the_near_ones(desk: Desk, tenant: str, here: tuple[str, ...]) -> None:
    near = tenant[:-1]
    desk.gtmc("connectors", "add", "--tenant", near, "--type", "fathom").refuses(f"no tenant '{near}'", tenant)
    desk.gtmc("sync", "--tenant", near, "--connector", "salesforce").refuses(f"no tenant '{near}'", tenant)
    desk.gtmc("connectors", "add", "--tenant", tenant, "--type", "salesfroce").refuses("Types are: salesforce")
    desk.gtmc("sync", "--tenant", tenant, "--connector", "salesfroce").refuses("Did you mean salesforce?")
    desk.gtmc("connectors", "verify", "--tenant", tenant, "--connector", "fathom").refuses("gtmc connectors add")
    desk.gtmc("tenants", "add", "No Good").refuses("lower-case")
    desk.gtmc("tenants", "add", tenant).refuses(tenant)
    desk.gtmc("connectors", "add", "--tenant", tenant, "--type", "salesforce").refuses("already")


def test_without_a_worker_nothing_is_started(
    desk: Desk, tenant: str, here: tuple[str, ...], database: Database
) -> None:
    began = time.monotonic()
    desk.gtmc("sync", *here).refuses("No worker is polling", "gtmc worker")
    assert time.monotonic() - began < AT_ONCE
    assert list_syncs(database, tenant) == []


def test_an_unreachable_temporal_is_named(desk: Desk, tenant: str, here: tuple[str, ...], database: Database) -> None:
    began = time.monotonic()
    desk.with_(TEMPORAL_ADDRESS="127.0.0.1:1").gtmc("sync", *here).refuses("Temporal at 127.0.0.1:1", "gtmc up")
    assert time.monotonic() - began < AT_ONCE
    desk.with_(TEMPORAL_ADDRESS="127.0.0.1:1").gtmc("worker").refuses("Temporal at 127.0.0.1:1")
    desk.with_(TEMPORAL_NAMESPACE="elsewhere").gtmc("sync", *here).refuses("TEMPORAL_NAMESPACE")
    assert list_syncs(database, tenant) == []


def test_a_wrong_key_opens_nothing_and_spoils_nothing(desk: Desk, here: tuple[str, ...]) -> None:
    other = desk.with_(CONNECTOR_ENCRYPTION_KEY=os.urandom(32).hex())
    other.gtmc("connectors", "verify", *here).refuses("CONNECTOR_ENCRYPTION_KEY")
    desk.without("CONNECTOR_ENCRYPTION_KEY").gtmc("connectors", "verify", *here).refuses("gtmc keys generate")
    assert desk.gtmc("connectors", "verify", *here).status == 0


def test_a_sync_with_a_wrong_key_fails_with_the_sentence_and_the_connector_says_it_too(
    desk: Desk, tenant: str, here: tuple[str, ...]
) -> None:
    other = desk.with_(CONNECTOR_ENCRYPTION_KEY=os.urandom(32).hex())
    with other.worker():
        desk.gtmc("sync", *here).refuses("CONNECTOR_ENCRYPTION_KEY")
    shown = desk.gtmc("connectors", "show", *here, "--json").out
    assert '"status": "error"' in shown
    assert "CONNECTOR_ENCRYPTION_KEY" in shown


def test_an_unknown_stream_is_met_with_the_list_before_anything_is_read(desk: Desk, here: tuple[str, ...]) -> None:
    with desk.worker():
        desk.gtmc("sync", *here, "--stream", "contactz").refuses("contactz", "contacts")
        desk.gtmc("syncs", "show", "sync-that-never-was").refuses("gtmc syncs list")
