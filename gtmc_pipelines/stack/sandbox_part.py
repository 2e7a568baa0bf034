"""The sandbox vendors as a part of the stack: their process, and the settings that point the connectors at them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gtmc_pipelines.settings import child_environment
from gtmc_pipelines.stack.ports import USUAL_PORTS, free_range
from gtmc_pipelines.stack.process import ChildSpec
from gtmc_pipelines.stack.sandbox_addresses import SandboxAddresses

_PORTS = 10  # five vendors, http and https each
_CALLBACK_PORT, _CALLBACKS = 8400, 3  # logins that may wait for their answer side by side, as the demo's do


class SandboxPart:
    """One sandbox. Its ports stay the same between starts while they are free: connectors remember addresses.

    When they can't, `known_addresses` tells where it was before.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._announcement_file = home / "sandbox.json"
        self.keys_folder = home / "sandbox" / "keys"
        self.known_addresses = SandboxAddresses(home)
        self.port = free_range(USUAL_PORTS["sandbox"], _PORTS)
        self._callback_port = free_range(_CALLBACK_PORT, _CALLBACKS)

    def spec(self) -> ChildSpec:
        """The process; what it prints goes to `<home>/sandbox.json`, and what stands there yet is remembered."""
        self.known_addresses.remember(self.announcement())
        options = ["--json", "--port", str(self.port)]
        options += ["--state-dir", str(self._home / "sandbox")]
        for port in range(self._callback_port, self._callback_port + _CALLBACKS):
            options += ["--redirect-uri", f"http://localhost:{port}/callback"]
        return ChildSpec(
            name="Sandbox",
            command=[sys.executable, "-m", "gtmc_pipelines.cli.main", "sandbox", *options],
            log_file=self._home / "logs" / "sandbox.log",
            output_file=self._announcement_file,
            environment=child_environment({"GTMC_HOME": str(self._home)}),
            gives_up_rights=True,
        )

    def is_ready(self) -> bool:
        """Whether it has announced itself, which it does once every port listens."""
        return bool(self.announcement())

    def announcement(self) -> dict[str, Any]:
        """What it printed: addresses, test credentials, CA file; empty before it is ready."""
        try:
            return dict(json.loads(self._announcement_file.read_text()))
        except (FileNotFoundError, ValueError):
            return {}

    def settle(self) -> None:
        """Once it is ready: remember its addresses, and write the keys."""
        self.known_addresses.remember(self.announcement())
        self.write_keys()

    def write_keys(self) -> None:
        """Put what a customer would be handed into files, for `--key-file`: `keys/acme/fathom.key` and so on.

        `o365.domains` holds the domains the customer writes to, those `gtmc o365 domains add` takes.
        """
        for name, vendor in self.announcement().get("vendors", {}).items():
            for account, held in vendor.get("credentials", {}).get("orgs", {}).items():
                files = {
                    f"{name}.key": held.get("api_key"),
                    f"{name}.domains": " ".join(held.get("allowed_domains", ())),
                }
                for file, text in files.items():
                    if text:
                        (self.keys_folder / account).mkdir(parents=True, exist_ok=True)
                        (self.keys_folder / account / file).write_text(f"{text}\n")

    def addresses(self) -> dict[str, str]:
        """Vendor name to its http address."""
        return {name: vendor["http"] for name, vendor in self.announcement().get("vendors", {}).items()}


def sandbox_environment(announcement: Mapping[str, Any]) -> dict[str, str]:
    """The variables under which the connectors talk to this sandbox."""
    vendors = announcement.get("vendors", {})
    hosts = [urlsplit(vendor[scheme]).netloc for vendor in vendors.values() for scheme in ("http", "https")]
    variables = {
        "GTMC_DEVELOPMENT": "1",
        "GTMC_SANDBOX_HOSTS": ",".join(hosts),
        "GTMC_CA_FILE": str(announcement.get("ca_file", "")),
    }
    if salesforce := vendors.get("salesforce"):
        credentials = salesforce.get("credentials", {})
        variables["SALESFORCE_CALLBACK_URL"] = next(iter(local_callbacks(salesforce)), "")
        variables["SALESFORCE_LOGIN_URL"] = salesforce["http"]
        variables["SALESFORCE_CLIENT_ID"] = credentials.get("client_id", "")
        variables["SALESFORCE_CLIENT_SECRET"] = credentials.get("client_secret", "")
    if customerio := vendors.get("customerio"):
        variables["CUSTOMERIO_API_URL"] = f"{customerio['http']}/v1"
        variables["CUSTOMERIO_EU_API_URL"] = f"{customerio['http']}/eu/v1"
        variables["CUSTOMERIO_TRACK_URL"] = f"{customerio['http']}/api/v1"
    if delivrai := vendors.get("delivrai"):
        variables["DELIVRAI_API_URL"] = delivrai["http"]
    if fathom := vendors.get("fathom"):
        variables["FATHOM_BASE_URL"] = f"{fathom['http']}/external/v1"
    if o365 := vendors.get("o365"):
        credentials = o365.get("credentials", {})
        variables["O365_LOGIN_URL"] = o365["https"]  # msal refuses plain http
        variables["O365_GRAPH_URL"] = f"{o365['http']}/v1.0"
        variables["O365_REDIRECT_URI"] = next(iter(local_callbacks(o365)), "")
        variables["O365_CLIENT_ID"] = credentials.get("client_id", "")
        variables["O365_CLIENT_SECRET"] = credentials.get("client_secret", "")
    return {name: value for name, value in variables.items() if value}


def local_callbacks(vendor: Mapping[str, Any]) -> list[str]:
    """Callbacks on this machine that are registered with an announced vendor's app; the first is the one to use."""
    registered = vendor.get("credentials", {}).get("redirect_uris", ())
    return [uri for uri in registered if urlsplit(uri).hostname == "localhost"]


def without_real_vendors(variables: Mapping[str, str], chosen: Set[str]) -> dict[str, str]:
    """The sandbox's variables, except all those of a vendor for which the user has set one: a real app's id
    must not meet the imitated login page.
    """
    real = {_vendor_of(name) for name in variables.keys() & chosen} - {"GTMC"}
    return {name: value for name, value in variables.items() if _vendor_of(name) not in real}


def _vendor_of(variable: str) -> str:
    return variable.partition("_")[0]
