"""Salesforce's OAuth 2.0 web server flow with PKCE: authorize, exchange, refresh, revoke.

What composition gives (`ConnectorSettings`):
  app      `client_id`, `client_secret`: our External Client App (SALESFORCE_CLIENT_ID, SALESFORCE_CLIENT_SECRET)
  options  those of `connector.OPTIONS`, and what connecting sets: `instance_url`, `organization_id`
  secrets  `access_token`, `refresh_token`, `instance_url` (the newest one a token answer named)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.host_guard import checked_url, host_port, refused
from gtmc_pipelines.connectors.http import VendorSession
from gtmc_pipelines.connectors.login import Grant
from gtmc_pipelines.connectors.loopback import Callback
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.connectors.salesforce.error_table import INSTALL_THE_APP, LOGIN_MOVED
from gtmc_pipelines.connectors.salesforce.errors import VENDOR, oauth_fault_of
from gtmc_pipelines.model.errors import Broken, Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

REQUIRED_SCOPES = ("api", "refresh_token")
_HOST_FAMILIES = (".salesforce.com", ".force.com", ".cloudforce.com", ".salesforce.mil")
_ORGANIZATION = re.compile(r"/id/(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)/")
_ID_LENGTH = 15  # of an id's case-sensitive form; three more letters only check it
_SCOPE = re.compile(r"[a-z_0-9]{1,40}")


class _TokenAnswer(msgspec.Struct):
    access_token: str
    instance_url: str
    refresh_token: str = ""
    scope: str = ""
    id: str = ""


def authorize_url(settings: ConnectorSettings, redirect_uri: str, state: str, pkce: Pkce, login_hint: str = "") -> str:
    """The address to open in the browser.

    Raises Misuse when our app isn't configured, or for a callback that Salesforce's form refuses ("Cannot be an HTTP
    URL"): plain http is for the word `localhost` alone, not for 127.0.0.1.
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme == "http" and parts.hostname != "localhost":
        raise Misuse(
            "callback_not_registrable",
            f"Salesforce takes no callback at http://{parts.hostname}: plain http is for `localhost` alone.",
            next_step="Set SALESFORCE_CALLBACK_URL to http://localhost:8400/callback and register the same.",
        )
    parameters = {
        "response_type": "code",
        "client_id": _app(settings, "client_id").reveal(),
        "redirect_uri": redirect_uri,
        "scope": " ".join(REQUIRED_SCOPES),
        "state": state,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    if login_hint:
        parameters["login_hint"] = login_hint
    return f"{_login_url(settings)}/services/oauth2/authorize?{urlencode(parameters)}"


def exchange_code(
    http: VendorSession, settings: ConnectorSettings, code: Secret, redirect_uri: str, pkce: Pkce
) -> Grant:
    """Exchange the code for tokens. Raises by the OAuth error; nothing is stored here.

    Raises Reauthorize when no refresh token came with it: the connection would die within hours.
    """
    form = {"grant_type": "authorization_code", "code": code.reveal(), "redirect_uri": redirect_uri}
    answer = _token(http, settings, form | {"code_verifier": pkce.verifier.reveal()})
    checked_instance_url(answer.instance_url, settings.sandbox_hosts)
    if not answer.refresh_token:
        raise Reauthorize(
            "no_refresh_token",
            "Salesforce gave no refresh token, so the connection would soon end.",
            next_step="Allow the scope `refresh_token` in the app (External Client App Manager) and connect again.",
        )
    scopes = tuple(scope for scope in answer.scope.split() if _SCOPE.fullmatch(scope))
    granted = {*scopes, *(("api",) if "full" in scopes else ())}  # `full` implies `api`
    missing = tuple(scope for scope in REQUIRED_SCOPES if scopes and scope not in granted)
    found = _ORGANIZATION.search(answer.id)
    organization = found[1] if found else ""
    options = {"instance_url": answer.instance_url, "organization_id": organization}
    owner = f"organization {organization}" if organization else ""
    accounts = (organization[:_ID_LENGTH],) if organization else ()
    return Grant(_credentials(answer), options, organization, accounts, owner, scopes, missing)


def refresh(http: VendorSession, settings: ConnectorSettings, current: Credentials) -> Credentials:
    """New credentials for the current refresh token: the `exchange` of `CredentialSource.renew`.

    A rotated refresh token is among what is returned, for the caller to store before it is used. It is returned
    whatever else the answer says: Salesforce has taken the former one back, and using it again would end the whole
    grant. An instance URL that isn't Salesforce's is left out, so the former one stays.
    """
    token = current.get("refresh_token")
    if not token:
        raise not_connected(settings)
    answer = _token(http, settings, {"grant_type": "refresh_token", "refresh_token": token.reveal()})
    renewed = _credentials(answer)
    try:
        checked_instance_url(answer.instance_url, settings.sandbox_hosts)
    except Broken:
        del renewed["instance_url"]
    return renewed


def revoke(http: VendorSession, settings: ConnectorSettings, current: Credentials) -> bool:
    """Revoke the grant at Salesforce. False when there was nothing to revoke or it was gone already."""
    token = current.get("refresh_token") or current.get("access_token")
    if not token:
        return False
    response = http.post(f"{_login_url(settings)}/services/oauth2/revoke", data={"token": token.reveal()})
    if response.status_code in {400, 404}:  # unsupported_token_type, invalid_token: gone already
        return False
    if response.status_code != 200:
        raise oauth_fault_of(response.status_code, response.content, http.clock(), settings.tenant_id)
    return True


class SalesforceLogin:
    """The browser login, with an HTTP session of its own for each call."""

    required_scopes = REQUIRED_SCOPES
    no_answer_hint = INSTALL_THE_APP

    def authorize_url(
        self, settings: ConnectorSettings, redirect_uri: str, state: str, pkce: Pkce, login_hint: str = ""
    ) -> str:
        """The address to open in the browser."""
        return authorize_url(settings, redirect_uri, state, pkce, login_hint)

    def exchange(
        self, settings: ConnectorSettings, callback: Callback, redirect_uri: str, pkce: Pkce, login_hint: str = ""
    ) -> Grant:
        """Exchange the code that came back."""
        with VendorSession("Salesforce", settings) as http:
            return exchange_code(http, settings, callback.code, redirect_uri, pkce)

    def consent_url(self, settings: ConnectorSettings, grant: Grant, redirect_uri: str, state: str) -> str:
        """Nothing is left to be asked."""
        return ""

    def check_consent(self, settings: ConnectorSettings, grant: Grant, callback: Callback) -> None:
        """Never comes to it."""

    def revoke(self, settings: ConnectorSettings, credentials: Credentials) -> bool:
        """Revoke the grant."""
        with VendorSession("Salesforce", settings) as http:
            return revoke(http, settings, credentials)


def checked_instance_url(url: str, sandbox_hosts: frozenset[str]) -> str:
    """`scheme://host[:port]` of an instance or login URL that is Salesforce's (or the sandbox's).

    Raises Broken (`address_refused`): a token must not go to any other host.
    """
    parts = checked_url(url, sandbox_hosts)
    host = parts.hostname or ""
    if host_port(parts) not in sandbox_hosts and not is_own_host(host):
        raise refused(host, "it is not one of Salesforce's hosts")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def instance_of(settings: ConnectorSettings, current: Credentials) -> str:
    """Checked instance URL: the newest a token answer named, else the connector's option."""
    stored = current.get("instance_url")
    url = stored.reveal() if stored else str(settings.options.get("instance_url") or "")
    if not url:
        raise not_connected(settings)
    return checked_instance_url(url, settings.sandbox_hosts)


def addresses(settings: ConnectorSettings) -> Mapping[str, str]:
    """The login, and the instance where an option names it; the one in force is sealed with the tokens."""
    instance = settings.options.get("instance_url")
    return {"login_url": _login_url(settings), **({"instance_url": str(instance)} if instance else {})}


def is_own_host(host: str) -> bool:
    """Whether a host is one of Salesforce's."""
    return host.endswith(_HOST_FAMILIES)


def not_connected(settings: ConnectorSettings) -> Reauthorize:
    """The error for a connector that holds no usable tokens."""
    return Reauthorize(
        "not_connected",
        "Salesforce is not connected.",
        next_step=f"Connect it: gtmc connectors connect --tenant {settings.tenant_id} --connector salesforce.",
    )


def _token(http: VendorSession, settings: ConnectorSettings, form: dict[str, str]) -> _TokenAnswer:
    secrets: dict[str, Any] = {name: _app(settings, name).reveal() for name in ("client_id", "client_secret")}
    login_url = _login_url(settings)
    try:
        response = http.post(f"{login_url}/services/oauth2/token", data=form | secrets)
    except Broken as fault:
        if fault.code != "redirect_refused":
            raise
        raise LOGIN_MOVED.fault(VENDOR, urlsplit(login_url).hostname, settings.tenant_id) from None
    if response.status_code != 200:
        raise oauth_fault_of(response.status_code, response.content, http.clock(), settings.tenant_id)
    try:
        answer = msgspec.json.decode(response.content, type=_TokenAnswer)
    except msgspec.MsgspecError:
        raise Broken("bad_token_answer", "Salesforce's token answer is not what its contract says.") from None
    return answer


def _credentials(answer: _TokenAnswer) -> dict[str, Secret]:
    values = {"access_token": Secret(answer.access_token), "instance_url": Secret(answer.instance_url)}
    if answer.refresh_token:
        values["refresh_token"] = Secret(answer.refresh_token)
    return values


def _login_url(settings: ConnectorSettings) -> str:
    url = str(settings.options.get("login_url") or "https://login.salesforce.com")
    if not urlsplit(url).path.rstrip("/"):
        return checked_instance_url(url, settings.sandbox_hosts)
    raise Misuse("bad_login_url", "The login URL must be a bare host.", next_step="Correct SALESFORCE_LOGIN_URL.")


def _app(settings: ConnectorSettings, name: str) -> Secret:
    value = settings.app.get(name)
    if not value:
        raise Misuse(
            "app_not_configured",
            "The Salesforce app is not configured.",
            next_step="Set SALESFORCE_CLIENT_ID and SALESFORCE_CLIENT_SECRET.",
        )
    return value
