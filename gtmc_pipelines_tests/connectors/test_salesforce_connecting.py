"""What Salesforce demands of those who connect: a version it serves, a host that moved, an address that is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.connectors.salesforce import auth
from gtmc_pipelines.connectors.salesforce.api import DEFAULT_API_VERSION, SalesforceSession, open_session
from gtmc_pipelines.connectors.salesforce.connector import SalesforceConnector
from gtmc_pipelines.model.errors import Broken, Misuse, Reauthorize, Retry
from gtmc_pipelines.settings import Settings
from gtmc_pipelines_tests.connectors.salesforce_scene import NotedCredentials, Org, assert_is_truth, pages_of
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of

pytestmark = pytest.mark.services

SMALL: dict[str, Any] = {"page_records": 200}


@pytest.mark.parametrize(
    "callback", ["http://127.0.0.1:8400/callback", "http://[::1]/callback", "http://app.example/c"]
)
def test_a_callback_the_form_refuses_is_not_sent_to_the_login_page(callback: str) -> None:
    with pytest.raises(Misuse) as caught:
        auth.authorize_url(ConnectorSettings("t", "c"), callback, "state", Pkce.fresh())
    assert caught.value.code == "callback_not_registrable"


def test_the_version_we_ask_for_is_served_and_one_that_is_not_is_told_with_those_that_are(org: Org) -> None:
    assert Settings.model_fields["salesforce_api_version"].default == DEFAULT_API_VERSION
    assert SalesforceConnector().health_check(org.session()).is_healthy
    for version in ("29.0", "69.0"):
        health = SalesforceConnector().health_check(org.session(api_version=version))
        assert not health.is_healthy
        assert f"API version {version}, but 31.0 to 68.0" in health.detail
        assert "SALESFORCE_API_VERSION" in health.detail


def test_a_retired_version_in_the_middle_of_a_sync_names_the_setting(org: Org) -> None:
    with pytest.raises(Broken) as caught:
        pages_of(org.session(api_version="29.0"), "accounts", full())
    assert caught.value.code == "api_version"
    assert "SALESFORCE_API_VERSION" in caught.value.next_step


@pytest.fixture
def elsewhere(sandbox: dict[str, Any]) -> str:
    """Where the org moves to: another address of the same vendor."""
    return str(sandbox["vendors"]["salesforce"]["https"])


def _session(org: Org, credentials: NotedCredentials, *hosts: str, **options: Any) -> SalesforceSession:
    declared = frozenset({org.host, *(urlsplit(host).netloc for host in hosts)})
    settings = replace(org.settings(**{**SMALL, **options}), sandbox_hosts=declared)
    return open_session(credentials, settings, sleep=org.waits.append)


@pytest.mark.parametrize("options", [{}, {"bulk_threshold": 0, "bulk_page_records": 200}], ids=["rest", "bulk"])
@pytest.mark.parametrize("is_under_way", [False, True], ids=["before", "meanwhile"])
def test_an_org_that_has_moved_is_followed_by_one_renewal_whose_host_is_kept(
    org: Org, elsewhere: str, options: dict[str, Any], is_under_way: bool
) -> None:
    credentials = org.granted()
    session = _session(org, credentials, elsewhere, **options)
    if is_under_way:
        session.limits()
    org.break_("org_moved", to=elsewhere)
    for stream, kind in (("leads", "Lead"), ("accounts", "Account")):
        assert_is_truth(records_of(pages_of(session, stream, full())), org.truth(kind), stream)
    assert [stored["instance_url"] for stored in credentials.stored] == [elsewhere]
    assert len([one for one in org.requests("oauth2/token") if one["status"] == 200]) == 2, "the code, one renewal"
    redirected = [one for one in org.requests("/services/data") if one["status"] == 302]
    assert len(redirected) == 1
    assert session.base_url.startswith(elsewhere)
    before = len(org.requests("oauth2/token"))
    assert _session(org, credentials, elsewhere).limits(), "the next session starts at the new host"
    assert len(org.requests("oauth2/token")) == before


@pytest.mark.parametrize("to", ["https://evil.example", "https://na1.salesforce.com.evil.example", ""])
def test_an_org_that_seems_to_have_moved_off_salesforce_is_not_followed(org: Org, to: str) -> None:
    credentials = org.granted()
    session = _session(org, credentials)
    org.break_("org_moved", to=to)
    for _ in range(2):
        with pytest.raises(Broken) as caught:
            session.limits()
        assert caught.value.code == "org_moved"
        assert "SALESFORCE_LOGIN_URL" in caught.value.next_step
    assert len(credentials.stored) == 1, "one renewal, and its refresh token is kept: the former one is spent"
    assert credentials.stored[0]["instance_url"] == org.base
    org.mend()
    org.break_("expired_session", count=1)
    assert session.limits(), "the grant is alive"


def test_a_worker_whose_address_is_refused_stays_connected(org: Org) -> None:
    credentials = org.granted()
    before = credentials.held
    org.break_("expired_session", count=1)
    org.break_("grant_refused", description="ip restricted", count=1)
    session = org.session(credentials)
    with pytest.raises(Broken) as caught:
        session.limits()
    assert caught.value.code == "login_address"
    assert credentials.held == before
    assert session.limits(), "once the address is on the list, the same grant goes on"


def test_the_sixth_login_of_a_user_ends_the_first_and_the_sentence_says_so(org: Org) -> None:
    first = org.granted()
    for _ in range(5):
        org.granted()
    with pytest.raises(Reauthorize) as caught:
        org.session(first).limits()
    assert "five logins" in caught.value.next_step


def test_too_many_calls_at_once_are_tried_again_and_are_not_the_days_quota(org: Org) -> None:
    org.break_("too_many_at_once", count=1)
    with pytest.raises(Retry) as caught:
        org.session().limits()
    assert caught.value.code == "too_many_at_once"


def test_a_query_too_large_for_this_users_sharing_is_read_in_smaller_pieces(org: Org) -> None:
    org.break_("operation_too_large", most=8_000)
    org.break_("bulk_unsupported")
    records = records_of(pages_of(org.session(bulk_threshold=50_000, **SMALL), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")


def test_where_no_piece_is_small_enough_the_permission_is_named(org: Org) -> None:
    org.break_("operation_too_large", most=0)
    org.break_("bulk_unsupported")
    with pytest.raises(Broken) as caught:
        pages_of(org.session(**SMALL), "leads", full())
    assert caught.value.code == "operation_too_large"
    assert "View All Data" in caught.value.next_step


@pytest.mark.parametrize("status", [414, 431])
def test_a_request_that_is_too_long_names_what_an_administrator_can_do(org: Org, status: int) -> None:
    org.break_("html_page", status=status, path="/query")
    with pytest.raises(Broken) as caught:
        pages_of(org.session(**SMALL), "leads", full())
    assert caught.value.code == "request_too_long"
    assert "field-level security" in caught.value.next_step
