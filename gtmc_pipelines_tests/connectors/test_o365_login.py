"""Admin consent and app-only tokens, by msal as it is, over https with the sandbox's own CA."""

import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import msal
import pytest

from gtmc_pipelines.connectors.contract import ConnectorSettings
from gtmc_pipelines.connectors.login import Grant, HeldCredentials
from gtmc_pipelines.connectors.loopback import Callback, callback_of
from gtmc_pipelines.connectors.o365.addresses import graph_url, login_url
from gtmc_pipelines.connectors.o365.api import O365Session
from gtmc_pipelines.connectors.o365.auth import O365Login
from gtmc_pipelines.connectors.o365.connector import OPTIONS
from gtmc_pipelines.connectors.o365.tokens import TokenSource
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.model.errors import Broken, Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.o365_scene import Directory

pytestmark = pytest.mark.services

REDIRECT = "http://localhost:1718/callback"
PKCE = Pkce.fresh()
CALLERS = 50
EVERY_MEMBERS = "b79fbf4d-3ef9-4689-8143-76b194e85509"


def _callback(target: str) -> Callback:
    return callback_of(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query)))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def _target_of(url: str) -> str:
    """Where the login host sends the browser back to."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(_NoRedirects).open(url, timeout=10)
    with raised.value as answer:
        target = answer.headers["Location"]
    assert target.startswith(REDIRECT)
    return str(target.removeprefix("http://localhost:1718"))


def _settings(directory: Directory, **options: Any) -> ConnectorSettings:
    return directory.settings(login_url=directory.vendor["http"], **options)


def _signed_in(directory: Directory, hint: str, settings: ConnectorSettings | None = None) -> Grant:
    """Both halves of signing in."""
    settings = settings or _settings(directory)
    callback = _callback(_target_of(O365Login().authorize_url(settings, REDIRECT, "S", PKCE, hint)))
    assert callback.state == "S"
    return O365Login().exchange(settings, callback, REDIRECT, PKCE, hint)


def _consented(directory: Directory, grant: Grant) -> None:
    """The second step."""
    url = O365Login().consent_url(_settings(directory), grant, REDIRECT, "T")
    assert urllib.parse.urlsplit(url).path == f"/{grant.account}/adminconsent"
    callback = _callback(_target_of(url))
    assert callback.state == "T"
    O365Login().check_consent(_settings(directory), grant, callback)


@pytest.mark.parametrize("hint", ["acme", "acme.example", "admin@acme.example", "id"])
def test_the_administrators_login_gives_the_directory_and_nothing_else(directory: Directory, hint: str) -> None:
    grant = _signed_in(directory, directory.org["directory_id"] if hint == "id" else hint)
    assert grant.account == directory.org["directory_id"]
    assert {name: value.reveal() for name, value in grant.credentials.items()} == {"directory_id": grant.account}
    assert grant.options == {"organization_id": grant.account}
    assert grant.accounts == (grant.account,)
    assert grant.owner == f"acme.example (directory {grant.account})"
    _consented(directory, grant)


@pytest.mark.parametrize("who", ["guest", "member"])
def test_being_in_the_directory_proves_nothing(directory: Directory, who: str) -> None:
    directory.break_("signs_in", user=who)
    with pytest.raises(Reauthorize) as raised:
        _signed_in(directory, "acme.example")
    assert raised.value.code == "not_an_administrator"
    assert ("guest" in raised.value.sentence) is (who == "guest")


def test_a_role_the_operator_names_may_connect_too(directory: Directory) -> None:
    directory.break_("signs_in", user="member")
    told = _settings(directory)
    told = replace(told, app={**told.app, "consent_role": Secret(EVERY_MEMBERS)})
    assert _signed_in(directory, "acme", told).account == directory.org["directory_id"]


def test_a_tenant_names_no_role(directory: Directory) -> None:
    """Else a member of another customer's directory would name the role that every member holds."""
    directory.break_("signs_in", user="member")
    assert not [option.name for option in OPTIONS if "role" in option.name]
    with pytest.raises(Reauthorize) as raised:
        _signed_in(directory, "acme", _settings(directory, consent_role=EVERY_MEMBERS))
    assert raised.value.code == "not_an_administrator"


@pytest.mark.parametrize(
    ("bent", "code"),
    [
        ({"alg": "none"}, "id_token_refused"),
        ({"key": "foreign"}, "id_token_refused"),
        ({"seconds": 4_000}, "id_token_refused"),
        ({"claims": {"nonce": "another"}}, "id_token_refused"),
        ({"claims": {"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}}, "personal_account"),
    ],
    ids=["unsigned", "foreign key", "old", "another login's", "personal"],
)
def test_a_token_that_proves_nothing_is_refused(directory: Directory, bent: dict[str, Any], code: str) -> None:
    directory.break_("id_token_bent", **bent)
    with pytest.raises(Reauthorize) as raised:
        _signed_in(directory, "acme")
    assert raised.value.code == code


def test_an_administrator_of_another_directory_than_the_one_asked_for_is_refused(directory: Directory) -> None:
    settings = _settings(directory)
    callback = _callback(_target_of(O365Login().authorize_url(settings, REDIRECT, "S", PKCE, "globex")))
    with pytest.raises(Reauthorize) as raised:
        O365Login().exchange(settings, callback, REDIRECT, PKCE, directory.org["directory_id"])
    assert raised.value.code == "code_refused", "Microsoft refuses a code at another directory"
    grant = O365Login().exchange(settings, callback, REDIRECT, PKCE, "globex")
    assert grant.account == directory.vendor["credentials"]["orgs"]["globex"]["directory_id"]


@pytest.mark.parametrize("what", ["code", "redirect", "verifier", "again"])
def test_microsoft_refuses_a_code_that_does_not_fit(directory: Directory, what: str) -> None:
    settings, login = _settings(directory), O365Login()
    callback = _callback(_target_of(login.authorize_url(settings, REDIRECT, "S", PKCE, "acme")))
    if what == "again":
        login.exchange(settings, callback, REDIRECT, PKCE, "acme")
    with pytest.raises(Reauthorize) as raised:
        login.exchange(
            settings,
            replace(callback, code=Secret("1.forged")) if what == "code" else callback,
            "http://localhost:1719/callback" if what == "redirect" else REDIRECT,
            Pkce.fresh() if what == "verifier" else PKCE,
            "acme",
        )
    assert raised.value.code == ("app_credentials" if what == "redirect" else "code_refused")


@pytest.mark.parametrize("fault", ["sign_in_refused", "consent_refused"])
def test_an_administrator_who_says_no_is_told_how_to_start_again(directory: Directory, fault: str) -> None:
    grant = _signed_in(directory, "acme")
    directory.break_(fault)
    with pytest.raises(Reauthorize) as raised:
        _signed_in(directory, "acme") if fault == "sign_in_refused" else _consented(directory, grant)
    assert raised.value.code == "oauth_denied"
    assert "_denied)" in raised.value.sentence


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("admin_consent=False&tenant={own}", "consent_missing"),
        ("code=abc&tenant={own}", "consent_missing"),
        ("admin_consent=True", "another_directory"),
        ("admin_consent=True&tenant=../evil", "another_directory"),
        ("admin_consent=True&tenant={rival}", "another_directory"),
    ],
)
def test_the_redirects_word_about_the_directory_is_compared_and_never_believed(
    directory: Directory, query: str, code: str
) -> None:
    grant = _signed_in(directory, "acme")
    rival = directory.vendor["credentials"]["orgs"]["globex"]["directory_id"]
    callback = _callback(f"/callback?{query.format(own=grant.account, rival=rival)}")
    with pytest.raises(Reauthorize) as raised:
        O365Login().check_consent(directory.settings(), grant, callback)
    assert raised.value.code == code


def test_without_a_hint_the_vendor_asks_which_organization(directory: Directory) -> None:
    url = O365Login().authorize_url(directory.settings(), REDIRECT, "S", PKCE)
    assert "/organizations/oauth2/v2.0/authorize?" in url
    asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert (asked["response_type"], asked["scope"], asked["code_challenge_method"]) == (
        "code",
        "openid profile",
        "S256",
    )
    assert (asked["nonce"], asked["code_challenge"]) == (PKCE.nonce, PKCE.challenge)
    assert "login_hint" not in asked
    assert PKCE.verifier.reveal() not in url


@pytest.mark.parametrize("hint", ["a/b", "acme example", "?x", "@"])
def test_a_hint_that_is_no_directory_is_refused(directory: Directory, hint: str) -> None:
    settings = directory.settings()
    if hint == "@":
        assert "/organizations/" in O365Login().authorize_url(settings, REDIRECT, "S", PKCE, hint)
        return
    with pytest.raises(Misuse):
        O365Login().authorize_url(settings, REDIRECT, "S", PKCE, hint)


@pytest.mark.parametrize(
    ("redirect_uri", "is_registered"),
    [
        ("http://localhost:8400/callback", True),
        ("http://localhost:51234/callback", True),
        ("http://localhost/callback", True),
        ("http://localhost:8400/elsewhere", False),
        ("http://127.0.0.1:8400/callback", False),
        ("http://[::1]:8400/callback", False),
        ("http://localhost.evil.example/callback", False),
        ("https://localhost:8400/callback", False),
    ],
)
def test_microsoft_compares_all_of_a_localhost_address_but_its_port(
    directory: Directory, redirect_uri: str, is_registered: bool
) -> None:
    settings = directory.settings(login_url=directory.vendor["http"])
    url = O365Login().authorize_url(settings, redirect_uri, "S", PKCE, "acme")
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(_NoRedirects).open(url, timeout=10)
    with raised.value as answer:
        assert answer.code == (302 if is_registered else 400)
        assert is_registered or b"AADSTS50011" in answer.read()


def test_a_consent_is_taken_back_by_the_administrator_only(directory: Directory) -> None:
    with pytest.raises(Misuse):
        O365Login().revoke(directory.settings(), {})


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_our_msal_gets_a_token_with_one_call(directory: Directory, scheme: str) -> None:
    held = {"directory_id": Secret(directory.org["directory_id"])}
    source = TokenSource(directory.settings(login_url=directory.vendor[scheme]), held)
    first, again = source.token(), source.token()
    assert first == again
    assert source.token(first) != first
    assert [entry["path"].rpartition("/")[2] for entry in directory.requests()] == ["token", "token"]
    source.close()


@pytest.fixture
def fifty(directory: Directory) -> Iterator[list[O365Session]]:
    """Open sessions of one directory, whose login takes its time."""
    directory.break_("slow", path="/token", latency_ms=300)
    with ExitStack() as stack:
        yield [stack.enter_context(directory.session()) for _ in range(CALLERS)]


def _users_seen(sessions: list[O365Session]) -> list[int | str]:
    """What each of them gets, all asking at once: how many users, or the code of the refusal."""
    start = threading.Barrier(len(sessions))

    def ask(session: O365Session) -> int | str:
        start.wait()
        try:
            return len(session.mailboxes())
        except Reauthorize as refused:
            return refused.code

    with ThreadPoolExecutor(len(sessions)) as pool:
        return list(pool.map(ask, sessions))


def test_fifty_callers_of_one_directory_share_one_token_and_its_renewal(
    directory: Directory, fifty: list[O365Session]
) -> None:
    (users,) = set(_users_seen(fifty))
    assert isinstance(users, int)
    assert len(directory.requests("/token")) == 1
    directory.break_("expired_token", count=1)  # and with it ends the token of them all
    assert set(_users_seen(fifty)) == {users}
    assert len(directory.requests("/token")) == 2


def test_fifty_callers_without_consent_ask_once_and_are_all_told(
    directory: Directory, fifty: list[O365Session]
) -> None:
    directory.break_("app_unknown")
    assert set(_users_seen(fifty)) == {"consent_missing"}
    assert len(directory.requests("/token")) == 1
    directory.mend()
    assert isinstance(_users_seen(fifty[:1])[0], int), "who asks later asks anew"


def test_a_token_is_not_kept_when_the_last_session_has_ended(directory: Directory) -> None:
    for _ in range(2):
        with directory.session() as session:
            session.mailboxes()
    assert len(directory.requests("/token")) == 2


def test_a_changed_secret_of_the_app_does_not_go_on_with_the_old_ones_token(
    directory: Directory, fifty: list[O365Session]
) -> None:
    fifty[0].mailboxes()
    settings = directory.settings()
    object.__setattr__(settings, "app", {**settings.app, "client_secret": Secret("expired, says Microsoft")})
    session = O365Session(HeldCredentials({"directory_id": Secret(directory.org["directory_id"])}), settings)
    with pytest.raises(Reauthorize) as raised:
        session.mailboxes()
    session.close()
    assert raised.value.code == "app_credentials"


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
    source.close()


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
