"""The web server flow as real clients walk it: PKCE, rotation, revocation, and every refusal."""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from gtmc_pipelines.sandbox.salesforce.grants import challenge_of

from .conftest import Client

REDIRECT = "http://localhost:8400/callback"


def authorize(client: Client, **asked: str) -> requests.Response:
    query = {
        "response_type": "code",
        "client_id": client.credentials["client_id"],
        "redirect_uri": REDIRECT,
        "state": "s 1+2",
        "login_hint": "acme",
        "scope": "api refresh_token",
        **asked,
    }
    url = f"{client.base}/services/oauth2/authorize"
    return requests.get(url, params=query, allow_redirects=False, timeout=30)


def returned(answer: requests.Response) -> dict[str, str]:
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(REDIRECT + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def consent(client: Client, **asked: str) -> dict[str, str]:
    code = returned(authorize(client, **asked))["code"]
    answer = client.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    tokens: dict[str, str] = answer.json()
    return tokens


def test_the_flow_with_pkce_gives_tokens_that_open_the_hinted_org(salesforce: Client) -> None:
    verifier = secrets.token_urlsafe(48)
    back = returned(
        authorize(
            salesforce,
            login_hint="admin@globex.example",
            code_challenge=challenge_of(verifier),
            code_challenge_method="S256",
        )
    )
    assert back["state"] == "s 1+2"
    form = {"grant_type": "authorization_code", "code": back["code"], "redirect_uri": REDIRECT}
    tokens = salesforce.token(**form, code_verifier=verifier).json()
    assert tokens["instance_url"] == salesforce.base
    assert tokens["issued_at"].isdigit()
    assert "expires_in" not in tokens
    assert tokens["token_type"] == "Bearer"
    identity = requests.get(tokens["id"], headers={"Authorization": f"Bearer {tokens['access_token']}"}, timeout=30)
    assert identity.json()["username"] == "admin@globex.example"
    assert identity.json()["organization_id"] == salesforce.credentials["orgs"]["globex"]["org_id"]
    again = salesforce.token(**form, code_verifier=verifier)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(("verifier", "error"), [(None, "invalid_grant"), ("wrong" * 10, "invalid_request")])
def test_a_missing_or_wrong_verifier_is_refused(salesforce: Client, verifier: str | None, error: str) -> None:
    code = returned(authorize(salesforce, code_challenge=challenge_of("right" * 10)))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    answer = salesforce.token(**form, **({"code_verifier": verifier} if verifier else {}))
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_without_a_hint_a_person_can_choose_the_org(salesforce: Client) -> None:
    page = authorize(salesforce, login_hint="")
    assert page.status_code == 200
    assert all(f"login_hint={org}" in page.text for org in ("acme", "globex", "initech"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"redirect_uri": "https://evil.example/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "https://app.example/oauth/callback/more"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1.evil.example/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://127.0.0.1:8400/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://[::1]:8400/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://localhost:8401/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "https://localhost:8400/callback"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://localhost:8400/callback/"}, "redirect_uri_mismatch"),
        ({"redirect_uri": "http://localhost:8400/callback?a=1"}, "redirect_uri_mismatch"),
        ({"client_id": "unknown"}, "invalid_client_id"),
    ],
)
def test_a_wrong_app_or_address_gets_an_error_page_and_no_redirect(
    salesforce: Client, asked: dict[str, str], says: str
) -> None:
    page = authorize(salesforce, **asked)
    assert page.status_code == 400
    assert says in page.text
    assert "text/html" in page.headers["content-type"]


def test_the_registered_address_is_accepted(salesforce: Client) -> None:
    answer = authorize(salesforce, redirect_uri="https://app.example/oauth/callback")
    assert answer.headers["location"].startswith("https://app.example/oauth/callback?code=")


def test_a_user_can_refuse(salesforce: Client) -> None:
    salesforce.knob("access_denied", count=1)
    back = returned(authorize(salesforce))
    assert (back["error"], back["state"]) == ("access_denied", "s 1+2")
    assert "code" in returned(authorize(salesforce))


def test_a_refresh_token_rotates_and_works_once(salesforce: Client) -> None:
    first = consent(salesforce)
    second = salesforce.token(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["access_token"] != first["access_token"]
    reused = salesforce.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert (reused.status_code, reused.json()["error"]) == (400, "invalid_grant")


def test_a_refresh_token_used_twice_ends_its_whole_grant_and_no_other(salesforce: Client) -> None:
    other, first = consent(salesforce), consent(salesforce)
    second = salesforce.token(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    salesforce.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    third = salesforce.token(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert (third.status_code, third.json()["error"]) == (400, "invalid_grant")
    for session in (first["access_token"], second["access_token"]):
        headers = {"Authorization": f"Bearer {session}"}
        assert requests.get(f"{salesforce.data}/limits", headers=headers, timeout=30).status_code == 401
    assert salesforce.token(grant_type="refresh_token", refresh_token=other["refresh_token"]).status_code == 200


def test_the_sixth_grant_of_a_user_ends_the_oldest(salesforce: Client) -> None:
    elsewhere = consent(salesforce, login_hint="globex")
    oldest, *others = [consent(salesforce) for _ in range(5)]
    oldest = salesforce.token(grant_type="refresh_token", refresh_token=oldest["refresh_token"]).json()
    others.append(consent(salesforce))
    refused = salesforce.token(grant_type="refresh_token", refresh_token=oldest["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    for one in (elsewhere, *others):
        assert salesforce.token(grant_type="refresh_token", refresh_token=one["refresh_token"]).status_code == 200


def test_without_rotation_a_refresh_token_stays_and_is_not_repeated(salesforce: Client) -> None:
    salesforce.knob("no_rotation")
    first = consent(salesforce)
    for _ in range(2):
        answer = salesforce.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()


def test_without_the_refresh_scope_there_is_no_refresh_token(salesforce: Client) -> None:
    assert "refresh_token" not in consent(salesforce, scope="api")


def test_a_revoked_refresh_token_ends_the_grant_and_its_sessions(salesforce: Client) -> None:
    tokens = consent(salesforce)
    url = f"{salesforce.base}/services/oauth2/revoke"
    answer = requests.post(url, data={"token": tokens["refresh_token"]}, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"")
    refused = salesforce.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    dead = requests.get(f"{salesforce.data}/limits", headers=headers, timeout=30)
    assert (dead.status_code, dead.json()[0]["errorCode"]) == (401, "INVALID_SESSION_ID")
    assert requests.post(url, data={"token": "unknown"}, timeout=30).status_code == 400


def test_revoking_one_grant_leaves_the_orgs_other_grants_alone(salesforce: Client) -> None:
    one, other = consent(salesforce), consent(salesforce)
    requests.post(f"{salesforce.base}/services/oauth2/revoke", data={"token": one["refresh_token"]}, timeout=30)
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert requests.get(f"{salesforce.data}/limits", headers=headers, timeout=30).status_code == 200
    assert salesforce.token(grant_type="refresh_token", refresh_token=other["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "wrong"}, "invalid_client_id"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "unknown"}, "invalid_grant"),
    ],
)
def test_a_wrong_token_request_is_refused(salesforce: Client, form: dict[str, str], error: str) -> None:
    answer = salesforce.token(**form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["error_description"]


def test_a_code_is_bound_to_its_redirect_address(salesforce: Client) -> None:
    code = returned(authorize(salesforce))["code"]
    answer = salesforce.token(grant_type="authorization_code", code=code, redirect_uri="http://localhost/other")
    assert answer.json()["error"] == "redirect_uri_mismatch"


def test_a_withdrawn_consent_shows_at_the_next_refresh(salesforce: Client) -> None:
    tokens = consent(salesforce)
    salesforce.knob("revoke_grant", org="acme")
    refused = salesforce.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refused.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}


def test_an_ended_session_stays_dead_until_refreshed(salesforce: Client) -> None:
    tokens = consent(salesforce)
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    salesforce.knob("expired_session", count=1, org="acme")
    for _ in range(2):
        assert requests.get(f"{salesforce.data}/limits", headers=headers, timeout=30).status_code == 401
    renewed = salesforce.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"]).json()
    headers = {"Authorization": f"Bearer {renewed['access_token']}"}
    assert requests.get(f"{salesforce.data}/limits", headers=headers, timeout=30).status_code == 200
