"""Office 365's login: admin consent in the browser, then app-only tokens by msal over our own HTTP session.

What composition gives (`ConnectorSettings`):
  app      `client_id`, `client_secret`: our app registration (O365_CLIENT_ID, O365_CLIENT_SECRET)
  options  those of `connector.OPTIONS`, and what connecting sets: `organization_id` (the directory)
  secrets  `directory_id`: the directory whose administrator consented
Access tokens are kept in memory only, for the life of a session.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msal
import requests

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.host_guard import checked_url, host_port, refused
from gtmc_pipelines.connectors.http import Clock, Sleep, VendorSession, utc_now
from gtmc_pipelines.connectors.login import Grant
from gtmc_pipelines.connectors.loopback import Callback
from gtmc_pipelines.connectors.o365.errors import login_fault_of
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.model.errors import Broken, GtmcError, Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

DEFAULT_LOGIN_URL = "https://login.microsoftonline.com"
DEFAULT_GRAPH_URL = "https://graph.microsoft.com/v1.0"
LOGIN_HOSTS = frozenset({"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"})
GRAPH_HOSTS = frozenset(
    {"graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"}
)
PERMISSIONS = ("Mail.ReadBasic.All", "User.Read.All")
"""Application permissions the app must have been given; Calendars.Read only when calendars are read."""

_DIRECTORY_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")

logging.getLogger("msal").setLevel(logging.CRITICAL)  # it logs answers of the token endpoint


class O365Login:
    """How Office 365 is connected: a `BrowserLogin` whose login page is the administrator's consent."""

    required_scopes = PERMISSIONS

    def authorize_url(
        self, settings: ConnectorSettings, redirect_uri: str, state: str, pkce: Pkce, login_hint: str = ""
    ) -> str:
        """The consent page; a hint (domain, directory id or user name) names the directory in the path."""
        hint = login_hint.rpartition("@")[2] or "organizations"
        if not _HINT.fullmatch(hint):
            raise Misuse("bad_login_hint", "The login hint names no directory.", next_step="Give its domain or id.")
        values = {"client_id": app_secret(settings, "client_id").reveal(), "redirect_uri": redirect_uri, "state": state}
        return f"{login_url(settings)}/{hint}/adminconsent?{urlencode(values)}"

    def exchange(self, settings: ConnectorSettings, callback: Callback, redirect_uri: str, pkce: Pkce) -> Grant:
        """The directory that consented. There is no code: the grant lives in the directory itself."""
        directory = callback.parameters.get("tenant", "")
        if callback.parameters.get("admin_consent", "").lower() != "true" or not _DIRECTORY_ID.fullmatch(directory):
            raise Reauthorize(
                "consent_missing",
                "The consent page came back without an administrator's consent.",
                next_step=f"Let an administrator consent: gtmc connectors connect --tenant {settings.tenant_id} "
                "--connector o365.",
            )
        directory = directory.lower()
        return Grant({"directory_id": Secret(directory)}, {"organization_id": directory}, directory)

    def revoke(self, settings: ConnectorSettings, credentials: Credentials) -> bool:
        """Raises Misuse: only the directory's administrator can take a consent back."""
        raise Misuse(
            "consent_stays", "only an administrator can remove the app from the directory (Enterprise applications)."
        )


class TokenSource:
    """App-only tokens of one directory. One msal application with an in-memory cache per session."""

    def __init__(
        self,
        settings: ConnectorSettings,
        credentials: Credentials,
        *,
        clock: Clock = utc_now,
        sleep: Sleep | None = None,
    ) -> None:
        self._settings = settings
        self.http = VendorSession("Microsoft's login", settings, clock=clock, sleep=sleep)
        parts = urlsplit(login_url(settings))
        if parts.scheme == "http":  # only the sandbox gets that far; msal wants https
            self.http.serve_plainly(parts.netloc)
        self._authority = f"https://{parts.netloc}/{directory_of(settings, credentials)}"
        self._app: Any = None

    def token(self) -> Secret:
        """A token that is good now: cached, else asked for. Raises by the login's refusal."""
        try:
            answer = self._application().acquire_token_for_client(scopes=[self._scope])
        except GtmcError:
            raise
        except (ValueError, KeyError, requests.RequestException):  # msal's words may hold the answer
            raise Broken(
                "bad_token_answer",
                "Microsoft's login answered outside its contract.",
                next_step="Check O365_LOGIN_URL.",
            ) from None
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise login_fault_of(answer or {}, self._settings.tenant_id)
        return Secret(token)

    def forget(self) -> None:
        """Drop the cached token: the next one is asked for."""
        if self._app is not None:
            self._app.remove_tokens_for_client()

    @property
    def _scope(self) -> str:
        """`.default` of the real Graph of this cloud; the sandbox goes by the name of the world-wide one."""
        parts = urlsplit(graph_url(self._settings))
        host = parts.hostname if parts.hostname in GRAPH_HOSTS else "graph.microsoft.com"
        return f"https://{host}/.default"

    def _application(self) -> Any:
        if self._app is None:
            self._app = msal.ConfidentialClientApplication(
                app_secret(self._settings, "client_id").reveal(),
                client_credential=app_secret(self._settings, "client_secret").reveal(),
                authority=self._authority,
                instance_discovery=False,  # hosts are pinned by login_url
                http_client=_MsalHttp(self.http, self._authority),
            )
        return self._app


class _MsalHttp:
    """The `http_client` msal wants, over our session: host guard, time-outs and the sandbox's CA apply.

    msal's first question, the discovery document, is answered here: where tokens come from is known, and
    our secret goes there whatever a document might say.
    """

    def __init__(self, http: VendorSession, authority: str) -> None:
        self._http, self._authority = http, authority
        self._token_endpoint = f"{authority}/oauth2/v2.0/token"

    def get(self, url: str, **_: Any) -> _Discovery:
        """The discovery document of our authority. Raises Broken for anything else."""
        if not url.startswith(f"{self._authority}/"):
            raise refused(urlsplit(url).hostname or "", "it is not the login host")
        return _Discovery(self._authority, self._token_endpoint)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> requests.Response:
        """Ask for a token. Raises Broken for any other place."""
        if url != self._token_endpoint:
            raise refused(urlsplit(url).hostname or "", "tokens come from the login host only")
        return self._http.post(url, params=params, data=data, headers=headers)

    def close(self) -> None:
        """Close connections."""
        self._http.close()


class _Discovery:
    """What msal reads of an answer."""

    status_code = 200
    headers: Mapping[str, str] = {}

    def __init__(self, authority: str, token_endpoint: str) -> None:
        document = {
            "issuer": f"{authority}/v2.0",
            "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
            "token_endpoint": token_endpoint,
        }
        self.text = json.dumps(document)

    def raise_for_status(self) -> None:
        """Nothing is wrong with it."""


def login_url(settings: ConnectorSettings) -> str:
    """Checked login host without path. Raises Broken for a host that isn't Microsoft's (or the sandbox's)."""
    url = str(settings.options.get("login_url") or DEFAULT_LOGIN_URL)
    return _checked_host(url, LOGIN_HOSTS, settings).rstrip("/")


def graph_url(settings: ConnectorSettings) -> str:
    """Checked base URL of Graph with its version, without a slash at the end."""
    url = str(settings.options.get("graph_url") or DEFAULT_GRAPH_URL)
    return _checked_host(url, GRAPH_HOSTS, settings).rstrip("/")


def directory_of(settings: ConnectorSettings, credentials: Credentials) -> str:
    """The directory that consented. Raises Reauthorize when none has."""
    directory = credentials.get("directory_id", Secret("")).reveal()
    if not _DIRECTORY_ID.fullmatch(directory):
        raise Reauthorize(
            "not_connected",
            "Office 365 is not connected.",
            next_step=f"Connect it: gtmc connectors connect --tenant {settings.tenant_id} --connector o365.",
        )
    return directory


def app_secret(settings: ConnectorSettings, name: str) -> Secret:
    """A secret of our app registration. Raises Misuse when it isn't configured."""
    value = settings.app.get(name)
    if not value:
        raise Misuse(
            "app_not_configured",
            "The Office 365 app is not configured.",
            next_step="Set O365_CLIENT_ID and O365_CLIENT_SECRET.",
        )
    return value


def _checked_host(url: str, hosts: frozenset[str], settings: ConnectorSettings) -> str:
    parts = checked_url(url, settings.sandbox_hosts)
    if host_port(parts) not in settings.sandbox_hosts and parts.hostname not in hosts:
        raise refused(parts.hostname or "", "it is not one of Microsoft's hosts")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"
