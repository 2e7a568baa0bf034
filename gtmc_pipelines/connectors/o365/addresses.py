"""Where the Microsoft clouds are, our app's registration there, and the directory a connector is bound to.

What composition gives (`ConnectorSettings`):
  app      `client_id`, `client_secret`: our app registration (O365_CLIENT_ID, O365_CLIENT_SECRET);
           `consent_role`: the operator's word on who else may connect (O365_CONSENT_ROLE), never a tenant's
  options  those of `connector.OPTIONS`, and what connecting sets: `organization_id` (the directory)
  secrets  `directory_id`: the directory whose administrator consented
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gtmc_pipelines.connectors.contract import ConnectorSettings, Credentials
from gtmc_pipelines.connectors.host_guard import checked_url, host_port, refused
from gtmc_pipelines.model.errors import Misuse, Reauthorize
from gtmc_pipelines.vault.secret import Secret

DEFAULT_LOGIN_URL = "https://login.microsoftonline.com"
DEFAULT_GRAPH_URL = "https://graph.microsoft.com/v1.0"
LOGIN_HOSTS = frozenset({"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"})
GRAPH_HOSTS = frozenset(
    {"graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"}
)

_DIRECTORY_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def login_url(settings: ConnectorSettings) -> str:
    """Checked login host without path. Raises Broken for a host that isn't Microsoft's (or the sandbox's)."""
    url = str(settings.options.get("login_url") or DEFAULT_LOGIN_URL)
    return _checked_host(url, LOGIN_HOSTS, settings).rstrip("/")


def graph_url(settings: ConnectorSettings) -> str:
    """Checked base URL of Graph with its version, without a slash at the end."""
    url = str(settings.options.get("graph_url") or DEFAULT_GRAPH_URL)
    return _checked_host(url, GRAPH_HOSTS, settings).rstrip("/")


def addresses(settings: ConnectorSettings) -> Mapping[str, str]:
    """Both URLs: our app's secret is sent to the login, the tokens it gives are sent to Graph."""
    return {"login_url": login_url(settings), "graph_url": graph_url(settings)}


def directory_of(settings: ConnectorSettings, credentials: Credentials) -> str:
    """The directory that consented. Raises Reauthorize when none has."""
    directory = credentials.get("directory_id", Secret("")).reveal()
    if not is_directory_id(directory):
        raise Reauthorize(
            "not_connected",
            "Office 365 is not connected.",
            next_step=f"Connect it: gtmc connectors connect --tenant {settings.tenant_id} --connector o365.",
        )
    return directory


def is_directory_id(text: str) -> bool:
    """Whether a text has the form of a directory's id."""
    return _DIRECTORY_ID.fullmatch(text) is not None


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


def is_own_host(host: str) -> bool:
    """Whether a host is one of Microsoft's that we call."""
    return host in LOGIN_HOSTS | GRAPH_HOSTS
