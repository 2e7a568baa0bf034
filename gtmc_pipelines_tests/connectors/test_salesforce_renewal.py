"""However many callers find the session expired, one of them renews it and none of them fails."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.salesforce.api import open_session
from gtmc_pipelines.connectors.salesforce.auth import refresh
from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing, generate_key_hex
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.salesforce_scene import Org

pytestmark = pytest.mark.services

CALLERS, MACHINES = 50, 2
KEY = generate_key_hex()
CHILD = (sys.executable, "-m", "gtmc_pipelines_tests.connectors.renewing_child")


@pytest.fixture
def connector(database: Database, tenant: str) -> ConnectorRow:
    """A Salesforce connector that counts as connected."""
    row = add_connector(database, tenant, "salesforce")
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
    return row


@pytest.fixture
def stored(database: Database, connector: ConnectorRow, org: Org) -> StoredCredentials:
    """Its sealed credentials, of a real grant."""
    found = StoredCredentials(database, KeyRing.from_hex(KEY), connector.tenant_id, connector.id)
    found.save(org.granted().read())
    return found


@pytest.fixture
def machines(
    stored: StoredCredentials, connector: ConnectorRow, postgres_url: str, sandbox: dict[str, Any]
) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that share only PostgreSQL, with fifty open sessions of the connector between them."""
    given = {"database_url": postgres_url, "key": KEY, "tenant": connector.tenant_id, "connector": connector.id}
    given |= {"sandbox": sandbox, "callers": CALLERS // MACHINES}
    started = [
        subprocess.Popen(CHILD, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(MACHINES)
    ]
    try:
        for process in started:
            _tell(process, json.dumps(given))
        assert [_answer(process) for process in started] == ["ready"] * MACHINES
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _called_at_once(machines: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    for process in machines:
        _tell(process, "go")
    return [json.loads(_answer(process)) for process in machines]


def test_fifty_callers_on_several_machines_cost_one_refresh(
    machines: list[subprocess.Popen[str]], stored: StoredCredentials, org: Org
) -> None:
    first = stored.read()["refresh_token"]
    org.break_("expired_session", count=1)
    said = _called_at_once(machines)
    assert [one for machine in said for one in machine["outcomes"]] == ["fine"] * CALLERS
    assert len(org.requests("oauth2/token")) == 2, "the code's exchange, then one refresh"
    assert stored.read()["refresh_token"] != first
    newest = hashlib.sha256(stored.read()["access_token"].reveal().encode()).hexdigest()
    assert {machine["token"] for machine in said} == {newest}


def test_a_revoked_grant_is_asked_about_once_by_all_machines_and_the_connector_waits_for_its_user(
    machines: list[subprocess.Popen[str]],
    stored: StoredCredentials,
    connector: ConnectorRow,
    database: Database,
    org: Org,
) -> None:
    org.break_("expired_session")
    org.break_("revoke_grant")
    said = _called_at_once(machines)
    assert [one for machine in said for one in machine["outcomes"]] == ["grant_revoked"] * CALLERS
    assert len(org.requests("oauth2/token")) == 2, "the code's exchange, then one refused refresh"
    now = require_connector(database, connector.tenant_id, connector.id)
    assert (now.status, now.error_kind) == (ConnectorStatus.ERROR, "reauthorize")
    assert f"gtmc connectors connect --tenant {org.name} --connector salesforce" in str(now.last_sync_error)


def test_fifty_callers_with_an_expired_rotating_token_cost_one_refresh(stored: StoredCredentials, org: Org) -> None:
    first = stored.read()["refresh_token"].reveal()
    sessions = [open_session(stored, org.settings(), sleep=org.waits.append) for _ in range(CALLERS)]
    org.break_("expired_session", count=1)
    with ThreadPoolExecutor(CALLERS) as pool:
        limits = list(pool.map(lambda session: session.limits(), sessions))
    for session in sessions:
        session.close()
    assert all("DailyApiRequests" in one for one in limits)
    refreshes = [one for one in org.requests("oauth2/token") if one["status"] == 200]
    assert len(refreshes) == 2  # the code's exchange, then one refresh
    assert stored.read()["refresh_token"].reveal() != first


def test_a_rotated_token_is_stored_before_it_is_used(stored: StoredCredentials, org: Org) -> None:
    session = open_session(stored, org.settings())
    org.break_("expired_session")  # the replay fails too: what was rotated must not be lost
    before = stored.read()["refresh_token"].reveal()
    with pytest.raises(Reauthorize):
        session.limits()
    org.ask("DELETE", "knobs")
    after = stored.read()["refresh_token"].reveal()
    assert after != before
    assert open_session(stored, org.settings()).limits()


def test_a_refresh_that_is_refused_changes_nothing(stored: StoredCredentials, org: Org) -> None:
    before = {name: value.reveal() for name, value in stored.read().items()}
    session = open_session(stored, org.settings())
    org.break_("expired_session", count=1)
    org.break_("revoke_grant", count=1)
    with pytest.raises(Reauthorize):
        session.limits()
    assert {name: value.reveal() for name, value in stored.read().items()} == before


def test_a_used_up_refresh_token_is_refused_for_good(stored: StoredCredentials, org: Org) -> None:
    old = {"refresh_token": Secret(stored.read()["refresh_token"].reveal())}
    session = open_session(stored, org.settings())
    org.break_("expired_session", count=1)
    session.limits()
    with VendorSession("Salesforce", org.settings()) as login, pytest.raises(Reauthorize) as caught:
        refresh(login, org.settings(), old)
    assert caught.value.code == "grant_revoked"
