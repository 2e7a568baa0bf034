"""What a data engineer sees and clicks, in a real browser on the real UI with everything real behind it."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gtmc_pipelines.cli import demo_browser, demo_setup
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.phases import SyncMode
from gtmc_pipelines.storage.connector_states import disconnect, set_status
from gtmc_pipelines.storage.connectors import add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.statements import run
from gtmc_pipelines.storage.sync_history import SyncLog, list_syncs
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines_tests.journeys.browser.chromium import Page
from gtmc_pipelines_tests.journeys.browser.conftest import TENANTS, Shoot, Stage
from gtmc_pipelines_tests.journeys.browser.hostile_page import hostile_page

pytestmark = [pytest.mark.services, pytest.mark.browser]

GRAPH = "/locations/gtmc_pipelines/asset-groups/salesforce"
PAUSED = "{ instance { autoMaterializePaused } }"
CALL = """async query => (await fetch('/graphql', {method: 'POST', headers: {'content-type': 'application/json'},
  body: JSON.stringify({query})})).json()"""
FOREIGN_IMAGE = """() => new Promise(done => {
  document.addEventListener('securitypolicyviolation', event => done(event.effectiveDirective));
  new Image().src = 'http://page.rebound.test/p.png';
})"""
PEOPLE = "/assets/salesforce/canonical/people"


def test_the_graph_shows_raw_extracts_canonical_tables_and_where_they_come_from(
    stage: Stage, page: Page, shoot: Shoot
) -> None:
    page.goto(stage.url(GRAPH))
    page.sees("contacts", "opportunities", "people", "activities", "Salesforce", "Postgres")
    page.no_longer_sees("Loading...")
    shoot("graph")
    page.goto(stage.url(PEOPLE))
    page.sees(
        "Salesforce in the canonical people", "How to run it.", "non-nullable", "its default mapping", "in editor"
    )
    page.sees("E-mail address, lower case. By default from contacts.Email, leads.Email")
    shoot("asset")


def test_one_tenant_is_synced_and_its_page_says_what_happened(stage: Stage, page: Page, shoot: Shoot) -> None:
    before = _newest(stage, "acme")
    _choose(stage, page, "acme")
    shoot("sync-one-dialog")
    page.click("button", "Launch 1 run")
    page.wait(lambda: _has_ended(stage, "acme", since=before), "the sync to end", 120)
    log = _newest(stage, "acme")
    assert log is not None
    assert (log.requested_by, log.outcome) == ("dagster", "completed")
    page.goto(stage.url(f"/runs/{log.dagster_run_id}"))
    page.sees("Success", seconds=120)
    shoot("sync-one-run")
    page.goto(stage.url(f"{PEOPLE}?view=partitions&partition=acme"))
    page.sees("Materialized", "duration_seconds", "lag_seconds", "preview", str(log.workflow_id))
    shoot("sync-one-partition")
    assert "@" in page.text
    assert ".example.com" not in page.text.replace("•••.example", "")
    page.goto(page.link_to(str(log.workflow_id)))
    page.sees(str(log.workflow_id), "open_sync", "sync_segment", "finalize")
    shoot("sync-one-workflow")


def test_a_backfill_of_three_tenants_is_three_full_syncs(stage: Stage, page: Page, shoot: Shoot) -> None:
    before = {tenant: _newest(stage, tenant) for tenant in TENANTS}
    _choose(stage, page, *TENANTS)
    shoot("backfill-dialog")
    page.click("button", "Launch backfill")
    page.wait(
        lambda: all(_has_ended(stage, tenant, since=log) for tenant, log in before.items()), "three syncs to end", 240
    )
    assert {log.sync_type for tenant in TENANTS if (log := _newest(stage, tenant))} == {SyncMode.FULL}
    page.goto(stage.url("/runs?view=backfills"))
    page.sees("3 partitions", "Success", seconds=120)
    shoot("backfill")
    page.goto(stage.url(f"{PEOPLE}?view=partitions"))
    page.sees("Missing (0)", *TENANTS)
    shoot("backfill-partitions")


def test_a_revoked_grant_fails_the_run_and_the_check_says_who_must_do_what(
    stage: Stage, page: Page, shoot: Shoot
) -> None:
    tenant = f"revoked-{uuid.uuid4().hex[:6]}"
    _connect_with_a_dead_token(stage, tenant)
    _choose(stage, page, tenant)
    page.click("button", "Launch 1 run")
    page.wait(lambda: _has_ended(stage, tenant, since=None), "the sync to fail", 120)
    log = _newest(stage, tenant)
    assert log is not None
    page.goto(stage.url(f"/runs/{log.dagster_run_id}"))
    page.wait(lambda: page.has("*", "Failure"), "the run to have failed", 120)  # the word alone: the log says it, too
    shoot("failed-run")
    page.goto(stage.url(f"{PEOPLE}?view=checks&checkDetail=authentication"))
    page.sees("authentication", "Execute")
    with _listening() as (listener, address):
        _let_the_vendor_say(stage, tenant, _hostile(address))
        page.click("button", "Execute")
        page.sees("In Progress", seconds=60)
        page.no_longer_sees("In Progress", seconds=60)
        page.sees("Failed", f"gtmc connectors connect --tenant {tenant}", "what was seen", seconds=60)
        shown = _hostile(address).replace("http:", "http[:]")
        page.wait(
            lambda: page.text.count(shown) + page.text.count(_hostile(address)) > 1, "the value as it is, twice", 60
        )
        shoot("failed-check")
        assert page.run(_LEADING_TO, address) == []
        with pytest.raises(BlockingIOError):  # nobody has called
            listener.accept()
    row = require_connector(stage.database, tenant, "salesforce")
    disconnect(stage.database, tenant, row.id)


def test_accepting_the_agreement_of_office_365_makes_a_partition_and_its_first_sync(
    stage: Stage, page: Page, shoot: Shoot
) -> None:
    tenant = "globex"
    add_connector(stage.database, tenant, "o365")
    demo_browser.connect(tenant, "o365", stage.settings.ca_file)
    assert not _are_partitions(stage, page, "o365", (tenant,))
    shoot("consent-missing")
    demo_setup.gtmc("o365", "accept-dpa", "--tenant", tenant, "--by", "ada")
    page.wait(lambda: _are_partitions(stage, page, "o365", (tenant,)), "the partition to come", 120)
    page.wait(lambda: _has_ended(stage, tenant, since=None, connector="o365"), "the first full sync to end", 120)
    log = _newest(stage, tenant, "o365")
    assert log is not None
    assert (log.sync_type, log.requested_by) == (SyncMode.FULL, "dagster")
    page.wait(lambda: _is_recorded(stage, page, "o365/canonical/activities", tenant), "the sync to be recorded", 60)
    shoot("consent-given")


def test_a_page_of_somebody_else_reaches_nothing_of_dagster(stage: Stage, page: Page) -> None:
    page.goto(stage.url("/runs"))
    page.sees("Runs")
    was_paused = _ask(page, PAUSED)["instance"]["autoMaterializePaused"]
    mutation = f"mutation {{ setAutoMaterializePaused(paused: {str(not was_paused).lower()}) }}"
    with hostile_page(stage.dagster, mutation) as address:
        page.goto(address)
        page.wait(lambda: str(page.run("() => document.title")).startswith("tried"), "the page to have tried all")
        assert page.run("() => document.title") == "tried"
        frames = page.command("Page.getFrameTree")["frameTree"]["childFrames"]
        assert len(frames) == 3
        assert not [frame for frame in frames if frame["frame"]["securityOrigin"] == stage.dagster]
    page.goto(stage.dagster.replace("127.0.0.1", "page.rebound.test"))
    page.sees("This address is not one of Dagster's.")
    page.goto(stage.url("/runs"))
    page.sees("Runs")
    assert _ask(page, PAUSED)["instance"]["autoMaterializePaused"] == was_paused
    assert page.run(FOREIGN_IMAGE) == "img-src"
    _ask(page, mutation)
    assert _ask(page, PAUSED)["instance"]["autoMaterializePaused"] != was_paused, "our own page may"
    _ask(page, mutation.replace(str(not was_paused).lower(), str(was_paused).lower()))


def _ask(page: Page, query: str) -> Any:
    """What Dagster answers its own page."""
    return page.run(CALL, query)["data"]


def _choose(stage: Stage, page: Page, *tenants: str) -> None:
    """Open the dialog on the graph and tick tenants, which must be partitions."""
    page.wait(lambda: _are_partitions(stage, page, "salesforce", tenants), f"{tenants} to be partitions", 90)
    page.goto(stage.url(GRAPH))
    page.click("button", "Materialize all…")
    page.sees("Partition selection")
    page.wait(lambda: _lists_partitions(page), "the list of partitions")
    for tenant in tenants:
        page.click("span", tenant)
    page.click("*", "Launch runs to materialize 10 assets")  # closes the list, which may cover the button


def _lists_partitions(page: Page) -> bool:
    """Open the list; a click that came before there was anything to list has opened nothing."""
    if page.has("*", "Select a partition or create one"):  # gone once the list is open
        page.click("*", "Select a partition or create one")
    return page.soon(lambda: page.has("*", "Select all", exact=False), 3)


_LEADING_TO = """(address) => [...document.querySelectorAll('[src], [href]')]
  .map(e => e.getAttribute('src') || e.getAttribute('href')).filter(to => to.includes(address))"""


@contextmanager
def _listening() -> Iterator[tuple[socket.socket, str]]:
    """A listener that a page could call, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener, f"127.0.0.1:{listener.getsockname()[1]}"


def _hostile(address: str) -> str:
    """A value that Markdown or HTML would fetch from or lead to an address."""
    return f"![p](http://{address}/x.png) <img src='http://{address}/y.png'> [a](http://{address}/) http://{address}/z"


def _let_the_vendor_say(stage: Stage, tenant: str, words: str) -> None:
    """As if the vendor had given these words as the reason of the tenant's failure."""
    with stage.database.tenant(tenant) as handle:
        statement = (
            "UPDATE connectors SET last_sync_error = last_sync_error || ' ' || %(words)s WHERE tenant_id = %(t)s"
        )
        run(handle, statement, {"words": words, "t": tenant})


def _are_partitions(stage: Stage, page: Page, connector: str, tenants: tuple[str, ...]) -> bool:
    """Whether the partitions page, opened anew, lists these tenants."""
    asset = {"salesforce": "canonical/people", "o365": "canonical/activities"}[connector]
    page.goto(stage.url(f"/assets/{connector}/{asset}?view=partitions"))
    page.sees("Missing (", "Materialized (")
    return all(page.has("*", tenant) for tenant in tenants)


def _is_recorded(stage: Stage, page: Page, asset: str, tenant: str) -> bool:
    """Whether the partition's page, opened anew, shows a materialization: the run stores it after the sync."""
    page.goto(stage.url(f"/assets/{asset}?view=partitions&partition={tenant}"))
    return page.soon(lambda: "Missing (0)" in page.text and "duration_seconds" in page.text, 10)


def _newest(stage: Stage, tenant: str, connector: str = "salesforce") -> SyncLog | None:
    found = [log for log in list_syncs(stage.database, tenant) if log.connector == connector]
    return found[0] if found else None


def _has_ended(stage: Stage, tenant: str, *, since: SyncLog | None, connector: str = "salesforce") -> bool:
    newest = _newest(stage, tenant, connector)
    return newest is not None and newest.completed_at is not None and (since is None or newest.id != since.id)


def _connect_with_a_dead_token(stage: Stage, tenant: str) -> None:
    add_tenant(stage.database, tenant)
    options = {"instance_url": stage.settings.salesforce_login_url}
    row = add_connector(stage.database, tenant, "salesforce", options=options)
    secrets = {"access_token": Secret("00Dxx!revoked"), "refresh_token": Secret("5Aep-revoked")}
    StoredCredentials(stage.database, key_ring(stage.settings), tenant, row.id).save(secrets)
    with stage.database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
