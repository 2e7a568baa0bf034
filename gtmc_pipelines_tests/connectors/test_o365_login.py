"""Admin consent and app-only tokens, by msal as it is, over https with the sandbox's own CA."""

import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import msal
import pytest

from gtmc_pipelines.connectors.loopback import callback_of
from gtmc_pipelines.connectors.o365.auth import O365Login, TokenSource, graph_url, login_url
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.model.errors import Broken, Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.o365_scene import Directory

pytestmark = pytest.mark.services

REDIRECT = "http://127.0.0.1:1718/callback"
PKCE = Pkce.fresh()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def _sent_back(directory: Directory, hint: str) -> str:
    url = O365Login().authorize_url(directory.settings(login_url=directory.vendor["http"]), REDIRECT, "S", PKCE, hint)
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(_NoRedirects).open(url, timeout=10)
    with raised.value as answer:
        target = answer.headers["Location"]
    assert target.startswith(REDIRECT)
    return str(target.removeprefix("http://127.0.0.1:1718"))


@pytest.mark.parametrize("hint", ["acme", "acme.example", "admin@acme.example"])
def test_consent_gives_the_directory_and_nothing_else(directory: Directory, hint: str) -> None:
    callback = callback_of(_sent_back(directory, hint), "/callback")
    assert callback.state == "S"
    grant = O365Login().exchange(directory.settings(), callback, REDIRECT, PKCE)
    assert grant.account == directory.org["directory_id"]
    assert {name: value.reveal() for name, value in grant.credentials.items()} == {"directory_id": grant.account}
    assert grant.options == {"organization_id": grant.account}


def test_an_administrator_who_says_no_is_told_how_to_start_again(directory: Directory) -> None:
    directory.break_("consent_refused")
    with pytest.raises(Reauthorize) as raised:
        callback_of(_sent_back(directory, "acme"), "/callback")
    assert raised.value.code == "oauth_denied"
    assert "permission_denied" in raised.value.sentence


@pytest.mark.parametrize(
    "query",
    [
        "admin_consent=False&tenant=11111111-2222-3333-4444-555555555555&state=S",
        "admin_consent=True&state=S",
        "admin_consent=True&tenant=../evil&state=S",
        "code=abc&state=S",
    ],
)
def test_an_answer_without_a_consent_or_a_directory_is_refused(directory: Directory, query: str) -> None:
    with pytest.raises(Reauthorize) as raised:
        O365Login().exchange(directory.settings(), callback_of(f"/callback?{query}", "/callback"), REDIRECT, PKCE)
    assert raised.value.code == "consent_missing"


@pytest.mark.parametrize("query", ["admin_consent=True&tenant=x", "state=S", ""])
def test_an_answer_without_state_is_incomplete(query: str) -> None:
    with pytest.raises(Misuse):
        callback_of(f"/callback?{query}", "/callback")


def test_without_a_hint_the_vendor_asks_which_organization(directory: Directory) -> None:
    url = O365Login().authorize_url(directory.settings(), REDIRECT, "S", PKCE)
    assert "/organizations/adminconsent?" in url
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query)).keys() == {
        "client_id",
        "redirect_uri",
        "state",
    }


@pytest.mark.parametrize("hint", ["a/b", "acme example", "?x", "@"])
def test_a_hint_that_is_no_directory_is_refused(directory: Directory, hint: str) -> None:
    settings = directory.settings()
    if hint == "@":
        assert "/organizations/" in O365Login().authorize_url(settings, REDIRECT, "S", PKCE, hint)
        return
    with pytest.raises(Misuse):
        O365Login().authorize_url(settings, REDIRECT, "S", PKCE, hint)


def test_a_consent_is_taken_back_by_the_administrator_only(directory: Directory) -> None:
    with pytest.raises(Misuse):
        O365Login().revoke(directory.settings(), {})


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_our_msal_gets_a_token_with_one_call(directory: Directory, scheme: str) -> None:
    held = {"directory_id": Secret(directory.org["directory_id"])}
    source = TokenSource(directory.settings(login_url=directory.vendor[scheme]), held)
    first, again = source.token(), source.token()
    assert first == again
    source.forget()
    assert source.token() != first
    assert [entry["path"].rpartition("/")[2] for entry in directory.requests()] == ["token", "token"]
    source.http.close()


def test_msal_by_itself_accepts_the_sandbox(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # requests prefers it to `verify`
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    given, authority = directory.vendor["credentials"], f"{directory.vendor['https']}/{directory.org['directory_id']}"
    app = msal.ConfidentialClientApplication(
        given["client_id"],
        authority=authority,
        client_credential=given["client_secret"],
        instance_discovery=False,
        verify=directory.ca_file,
    )
    answer = app.acquire_token_for_client(scopes=["https://graph.microsoft.com/.default"])
    assert answer["token_type"] == "Bearer"
    assert answer["access_token"]
    app.http_client.close()


@pytest.mark.parametrize(("name", "code"), [("client_secret", "app_credentials"), ("client_id", "consent_missing")])
def test_wrong_app_credentials_are_told_apart(directory: Directory, name: str, code: str) -> None:
    settings = directory.settings()
    wrong = {**settings.app, name: Secret("11111111-2222-3333-4444-555555555555")}
    object.__setattr__(settings, "app", wrong)
    source = TokenSource(settings, {"directory_id": Secret(directory.org["directory_id"])})
    with pytest.raises(Reauthorize) as raised:
        source.token()
    assert raised.value.code == code
    source.http.close()


@pytest.mark.parametrize("option", ["login_url", "graph_url"])
@pytest.mark.parametrize("url", ["https://evil.example", "http://login.microsoftonline.com", "https://10.0.0.1"])
def test_secrets_and_tokens_go_to_microsofts_hosts_only(directory: Directory, option: str, url: str) -> None:
    settings = directory.settings(**{option: url})
    with pytest.raises(Broken) as raised:
        (login_url if option == "login_url" else graph_url)(settings)
    assert raised.value.code == "address_refused"


def test_without_an_app_the_user_is_told_which_variables(directory: Directory) -> None:
    settings = directory.settings()
    object.__setattr__(settings, "app", {})
    with pytest.raises(Misuse) as raised:
        O365Login().authorize_url(settings, REDIRECT, "S", PKCE)
    assert "O365_CLIENT_ID" in raised.value.next_step
