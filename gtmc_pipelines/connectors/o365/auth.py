"""Office 365's login: admin consent in the browser, and where the app and its directory are found.

What composition gives (`ConnectorSettings`):
  app      `client_id`, `client_secret`: our app registration (O365_CLIENT_ID, O365_CLIENT_SECRET)
  options  those of `connector.OPTIONS`, and what connecting sets: `organization_id` (the directory)
  secrets  `directory_id`: the directory whose administrator consented
Access tokens are kept in memory only (`tokens`).
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.host_guard import checked_url, host_port, refused
from gtmc_pipelines.connectors.login import Grant
from gtmc_pipelines.connectors.loopback import Callback
from gtmc_pipelines.connectors.oauth import Pkce
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

DEFAULT_LOGIN_URL = "https://login.microsoftonline.com"
DEFAULT_GRAPH_URL = "https://graph.microsoft.com/v1.0"
LOGIN_HOSTS = frozenset({"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"})
GRAPH_HOSTS = frozenset(
    {"graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"}
)
PERMISSIONS = ("User.Read.All", "Mail.ReadBasic.All (or the role Application Mail.ReadBasic in Exchange)")
"""What the app must have been given: by the administrator's consent, and mail by either of two ways.

The consent page asks for whatever application permissions the registration lists, neither more nor less: its address
can't name any ("Admin consent on the Microsoft identity platform"). Who wants the scoped role registers the app with
User.Read.All alone.
"""

_DIRECTORY_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


class O365Login:
    """How Office 365 is connected: a `BrowserLogin` whose login page is the administrator's consent."""

    required_scopes = PERMISSIONS
    no_answer_hint = (
        "If Microsoft's page showed an error, it doesn't call back: for AADSTS50011 register the address of "
        "O365_REDIRECT_URI with the app (as Web), for AADSTS90094 or 'Need admin approval' let an administrator log in."
    )

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
