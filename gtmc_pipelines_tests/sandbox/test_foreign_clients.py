"""Clients we didn't write accept the imitated Salesforce: simple-salesforce, and jsforce by its wire habits."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceExpiredSession, SalesforceMalformedRequest

from gtmc_pipelines.sandbox.salesforce.grants import challenge_of

from .conftest import Client


class PlainHttp(HTTPAdapter):
    """Sends to http what the library insists on addressing by https."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture(params=["https", "http"])
def library(request: pytest.FixtureRequest, salesforce: Client) -> Iterator[Any]:
    session = requests.Session()
    session.trust_env = False
    if request.param == "https":
        url = salesforce.vendor["https"].replace("127.0.0.1", "localhost")
        session.verify = salesforce.announcement["ca_file"]
    else:
        url = salesforce.base.replace("http://", "https://")
        session.mount(url, PlainHttp())
    token = salesforce.credentials["orgs"]["acme"]["access_token"]
    yield Salesforce(instance_url=url, session_id=token, version="60.0", session=session)
    session.close()


def test_simple_salesforce_pages_through_everything(library: Any) -> None:
    ids = [row["Id"] for row in library.query_all_iter("SELECT Id, Name FROM Contact", include_deleted=True)]
    assert len(set(ids)) == len(ids) == 2040
    assert library.query_all("SELECT Id FROM Account")["totalSize"] == 400
    assert library.api_usage["api-usage"].used > 0


def test_simple_salesforce_describes_and_asks_for_limits(library: Any) -> None:
    assert len(library.describe()["sobjects"]) == 8
    assert "SystemModstamp" in {field["name"] for field in library.Contact.describe()["fields"]}
    assert library.limits()["DailyApiRequests"]["Max"] == 1_000_000


def test_simple_salesforce_reads_deletions(library: Any, salesforce: Client) -> None:
    gone = salesforce.mutate("delete", count=4)
    now = datetime.now(UTC)
    answer = library.Contact.deleted(now - timedelta(hours=1), now + timedelta(minutes=2))
    assert {row["id"] for row in answer["deletedRecords"]} == set(gone)


def test_simple_salesforce_reads_bulk_results_page_by_page(library: Any) -> None:
    pages = list(library.bulk2.Contact.query("SELECT Id, Description FROM Contact", max_records=600, wait=0.01))
    rows = [row for page in pages for row in csv.DictReader(io.StringIO(page, newline=""))]
    assert len(pages) == 4
    assert len({row["Id"] for row in rows}) == 2000


def test_simple_salesforce_understands_the_errors(library: Any, salesforce: Client) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="INVALID_FIELD"):
        library.query("SELECT Nope FROM Contact")
    salesforce.knob("expired_session", count=1)
    with pytest.raises(SalesforceExpiredSession):
        library.limits()


def chunked(form: str) -> Iterator[bytes]:
    """A body of unknown length: requests sends it chunked, as jsforce does."""
    yield form[:20].encode()
    yield form[20:].encode()


def test_jsforces_oauth_habits_chunked_post_no_method_and_a_long_verifier(salesforce: Client) -> None:
    verifier = secrets.token_urlsafe(128)
    assert len(verifier) == 171
    redirect = "http://localhost:8400/callback"
    query = {
        "response_type": "code",
        "client_id": salesforce.credentials["client_id"],
        "redirect_uri": redirect,
        "code_challenge": challenge_of(verifier),
        "scope": "api refresh_token",
        "login_hint": "acme",
    }
    url = f"{salesforce.base}/services/oauth2"
    back = requests.get(f"{url}/authorize", params=query, allow_redirects=False, timeout=30).headers["location"]
    code = parse_qs(urlsplit(back).query)["code"][0]
    form = (
        f"grant_type=authorization_code&code={code}&client_id={query['client_id']}&redirect_uri={redirect}"
        f"&client_secret={salesforce.credentials['client_secret']}&code_verifier={verifier}"
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(f"{url}/token", data=chunked(form), headers=headers, timeout=30)
    assert answer.request.headers["Transfer-Encoding"] == "chunked"
    assert {"access_token", "refresh_token", "instance_url", "id"} <= set(answer.json())


def test_jsforces_bulk_loop_ends_at_the_word_null(salesforce: Client) -> None:
    job = salesforce.job("SELECT Id FROM Contact").json()["id"]
    while salesforce.get(f"jobs/query/{job}").json()["state"] != "JobComplete":
        continue
    locator, turns = "", 0
    while locator != "null":
        asked = {"locator": locator} if locator else {}
        locator = salesforce.get(f"jobs/query/{job}/results", params=asked).headers["sforce-locator"]
        turns += 1
    assert turns == 1
