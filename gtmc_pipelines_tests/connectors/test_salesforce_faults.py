"""What goes wrong at Salesforce ends in the right leaf, loses nothing and is not asked too often."""

from contextlib import suppress
from typing import Any

import pytest

from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.connectors.salesforce import auth
from gtmc_pipelines.connectors.salesforce.connector import SalesforceConnector
from gtmc_pipelines.connectors.salesforce.streams import read_stream
from gtmc_pipelines.model.errors import Broken, Defer, Misuse, Reauthorize, Retry, SyncFault
from gtmc_pipelines.model.records import Page
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.salesforce_scene import REDIRECT, NotedCredentials, Org, assert_is_truth, pages_of
from gtmc_pipelines_tests.connectors.vendor_scene import full, records_of, soon

pytestmark = pytest.mark.services

SMALL: dict[str, Any] = {"page_records": 200}


def _fault(org: Org, leaf: type[SyncFault], stream: str = "leads", **options: Any) -> SyncFault:
    with pytest.raises(leaf) as caught:
        pages_of(org.session(**{**SMALL, **options}), stream, full())
    assert caught.value.__cause__ is None
    return caught.value


def test_a_session_that_expires_in_the_middle_is_renewed_once_and_rotated(org: Org) -> None:
    credentials = org.granted()
    first = credentials.held["refresh_token"].reveal()
    org.break_("expired_session", count=1, after=3)
    records = records_of(pages_of(org.session(credentials, **SMALL), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")
    assert len(credentials.stored) == 1
    assert credentials.stored[0]["refresh_token"] != first
    assert len([one for one in org.requests("oauth2/token") if one["status"] == 200]) == 2  # code, then refresh


def test_without_rotation_the_old_refresh_token_stays(org: Org) -> None:
    credentials = org.granted()
    first = credentials.held["refresh_token"].reveal()
    org.break_("no_rotation")
    org.break_("expired_session", count=1)
    pages_of(org.session(credentials), "accounts", full())
    assert credentials.stored[0]["refresh_token"] == first


def test_a_revoked_grant_asks_the_user_after_two_calls_at_most(org: Org) -> None:
    credentials = org.granted()
    org.break_("expired_session", count=1)
    org.break_("revoke_grant", count=1)
    before = len(org.requests())
    with pytest.raises(Reauthorize) as caught:
        pages_of(org.session(credentials), "accounts", full())
    assert caught.value.code == "grant_revoked"
    assert "gtmc connectors connect --tenant acme --connector salesforce" in caught.value.next_step
    assert len(org.requests()) - before == 2
    assert not credentials.stored


def test_a_session_refused_again_after_renewal_is_not_renewed_for_ever(org: Org) -> None:
    credentials = org.granted()
    org.break_("expired_session")
    before = len(org.requests())
    with pytest.raises(Reauthorize) as caught:
        pages_of(org.session(credentials), "accounts", full())
    assert caught.value.code == "session_refused"
    assert len(org.requests()) - before == 3


def test_a_missing_access_token_is_fetched_first(org: Org) -> None:
    credentials = org.granted()
    held = {name: value for name, value in credentials.held.items() if name != "access_token"}
    pages_of(org.session(NotedCredentials(held)), "accounts", full())


def test_no_credentials_ask_the_user(org: Org) -> None:
    with pytest.raises(Reauthorize) as caught:
        org.session(NotedCredentials({}))
    assert caught.value.code == "not_connected"
    with pytest.raises(Reauthorize):
        org.session(NotedCredentials({"instance_url": Secret(org.base)}))


def test_quota_in_the_middle_defers_with_the_checkpoint_kept(org: Org) -> None:
    until = soon()
    org.break_("quota", after=4)
    pages: list[Page] = []
    with pytest.raises(Defer) as caught:
        pages.extend(read_stream(org.session(**SMALL), "leads", full(until=until)))
    assert caught.value.code == "api_quota"
    assert pages
    asked = len(org.requests())
    assert org.requests()[-1]["status"] == 403
    assert [one["status"] for one in org.requests()].count(403) == 1
    org.ask("DELETE", "knobs")
    rest = pages_of(org.session(**SMALL), "leads", full(pages[-1].checkpoint, until))
    assert_is_truth(records_of([*pages, *rest]), org.truth("Lead"), "leads")
    assert len(org.requests()) > asked


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_throttled_request_waits_as_asked(org: Org, form: str) -> None:
    org.break_("rate_limit", count=1, after=2, retry_after=8, retry_after_form=form)
    records = records_of(pages_of(org.session(**SMALL), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")
    assert len(org.waits) == 1
    assert 7.5 <= org.waits[0] <= 9.6


def test_a_storm_of_throttling_ends_in_a_retry_of_known_length(org: Org) -> None:
    org.break_("rate_limit", retry_after=2)
    fault = _fault(org, Retry, max_attempts=4)
    assert isinstance(fault, Retry)
    assert (fault.code, fault.after_seconds) == ("vendor_throttled", 2)
    assert len(org.waits) == 3
    assert all(wait >= 2 for wait in org.waits)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", ["json", "html"])
def test_server_errors_on_some_pages_cost_only_retries(org: Org, status: int, body: str) -> None:
    org.break_("server_error", status=status, body=body, every=4)
    records = records_of(pages_of(org.session(**SMALL), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")
    assert org.waits


def test_half_of_all_answers_failing_completes_or_fails_cleanly(org: Org) -> None:
    org.break_("server_error", probability=0.5)
    pages: list[Page] = []
    with suppress(Retry):
        pages.extend(read_stream(org.session(**SMALL), "leads", full()))
    if pages and pages[-1].is_last:
        assert_is_truth(records_of(pages), org.truth("Lead"), "leads")
    else:
        assert len(org.waits) >= 5


def test_a_maintenance_page_in_place_of_an_answer_is_waited_out(org: Org) -> None:
    org.break_("html_page", count=2, after=1)
    records = records_of(pages_of(org.session(**SMALL), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")
    assert len(org.waits) == 2


@pytest.mark.parametrize("options", [SMALL, {"bulk_threshold": 0, "bulk_page_records": 200}], ids=["rest", "bulk"])
def test_cut_connections_lose_nothing(org: Org, options: dict[str, Any]) -> None:
    org.break_("cut", every=3, after=1)
    records = records_of(pages_of(org.session(**options), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")
    assert org.waits


def test_a_foreign_next_link_is_not_followed(org: Org) -> None:
    org.break_("foreign_next", after=1)
    assert _fault(org, Broken).code == "foreign_next_link"
    assert not any("attacker" in str(entry) for entry in org.requests())


def test_a_next_link_to_this_very_host_by_another_name_is_not_followed(org: Org) -> None:
    org.break_("foreign_next", url=f"{org.base}/services/data/v60.0/query/01g000000000000AAA-200")
    assert _fault(org, Broken).code == "foreign_next_link"


def test_pages_that_loop_are_noticed_after_one_extra_page(org: Org) -> None:
    org.break_("cursor_loop")
    assert _fault(org, Broken).code == "cursor_loop"
    assert len(org.requests("/query")) <= 3  # a count, a page, one more


def test_an_empty_page_with_a_next_link_is_just_a_page(org: Org) -> None:
    org.break_("empty_page", count=1, after=1)
    records = records_of(pages_of(org.session(**SMALL), "leads", full()))
    assert_is_truth(records, org.truth("Lead"), "leads")


@pytest.mark.parametrize("options", [SMALL, {"bulk_threshold": 0}], ids=["rest", "bulk"])
def test_an_unparsable_page_is_one_sentence(org: Org, options: dict[str, Any]) -> None:
    org.break_("malformed_page")
    fault = _fault(org, SyncFault, **options)
    assert fault.code in {"unparsable_page", "page_incomplete"}
    assert fault.next_step or isinstance(fault, Retry)


@pytest.mark.parametrize("options", [SMALL, {"bulk_threshold": 0}], ids=["rest", "bulk"])
def test_a_record_without_an_id_is_rejected_and_its_neighbours_are_read(org: Org, options: dict[str, Any]) -> None:
    org.break_("record_without_id", count=1)
    pages = pages_of(org.session(**options), "leads", full())
    rejects = [reject for page in pages for reject in page.rejects]
    assert [reject.reason_code for reject in rejects] == ["missing_id"]
    assert len(records_of(pages)) == sum(page.read for page in pages) - 1
    assert (
        len({record.external_id for record in records_of(pages)} & set(org.truth("Lead"))) >= len(org.truth("Lead")) - 1
    )


def test_an_unhealthy_answer_is_no_exception(org: Org) -> None:
    org.break_("quota")
    health = SalesforceConnector().health_check(org.session())
    assert not health.is_healthy
    assert "REQUEST_LIMIT_EXCEEDED" in health.detail


def test_a_revoked_session_can_not_be_used_again(org: Org) -> None:
    credentials = org.granted()
    with VendorSession("Salesforce", org.settings()) as http:
        assert auth.revoke(http, org.settings(), credentials.read()) is True
        assert auth.revoke(http, org.settings(), {"refresh_token": Secret("5Aep861-never-issued")}) is False
        assert auth.revoke(http, org.settings(), {}) is False
    with pytest.raises(Reauthorize):
        pages_of(org.session(credentials), "accounts", full())


def test_a_code_is_good_only_with_its_verifier(org: Org) -> None:
    with VendorSession("Salesforce", org.settings()) as http, pytest.raises(SyncFault) as caught:
        auth.exchange_code(http, org.settings(), Secret("aPrx-never-issued"), REDIRECT, Pkce.fresh())
    assert caught.value.code in {"grant_revoked", "invalid_request"}


def test_wrong_app_credentials_name_the_variables(org: Org) -> None:
    org.client_secret = "wrong"
    with VendorSession("Salesforce", org.settings()) as http, pytest.raises(Broken) as caught:
        auth.refresh(http, org.settings(), {"refresh_token": Secret("5Aep861zz")})
    assert caught.value.code == "app_credentials"
    assert "SALESFORCE_CLIENT_SECRET" in caught.value.next_step


def test_an_app_without_credentials_is_misuse(org: Org) -> None:
    org.client_id = ""
    with pytest.raises(Misuse) as caught:
        auth.authorize_url(org.settings(), REDIRECT, "state", Pkce.fresh())
    assert caught.value.code == "app_not_configured"


@pytest.mark.parametrize("url", ["https://evil.example", "https://salesforce.com.evil.example", "http://10.0.0.1"])
def test_a_token_never_goes_to_a_foreign_instance(org: Org, url: str) -> None:
    credentials = NotedCredentials({"access_token": Secret("00D!x"), "instance_url": Secret(url)})
    with pytest.raises(Broken) as caught:
        org.session(credentials)
    assert caught.value.code == "address_refused"
