"""However many callers find the session expired, one of them renews it and none of them fails."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.salesforce.api import open_session
from gtmc_pipelines.connectors.salesforce.auth import refresh
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing, generate_key_hex
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.salesforce_scene import Org

pytestmark = pytest.mark.services

CALLERS = 50


@pytest.fixture
def stored(database: Database, tenant: str, org: Org) -> StoredCredentials:
    """Sealed credentials of a real grant."""
    connector = add_connector(database, tenant, "salesforce")
    found = StoredCredentials(database, KeyRing.from_hex(generate_key_hex()), tenant, connector.id)
    found.save(org.granted().read())
    return found


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
