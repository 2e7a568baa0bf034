"""Where Customer.io answers: the App API of each region, the Track host, and the address that proves a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings

REGIONS = ("us", "eu")
US_URL, EU_URL = "https://api.customer.io/v1", "https://api-eu.customer.io/v1"
TRACK_URL = "https://track.customer.io/api/v1"
OWN_HOSTS = frozenset({"api.customer.io", "api-eu.customer.io", "track.customer.io", "track-eu.customer.io"})

PROBE_PATHS: Mapping[str, str] = {
    "vendor": "/workspaces",
    "product-docs": "/accounts/region",  # on the App host only for installations that serve it there
}


def region_of(settings: ConnectorSettings) -> str:
    """The region the connector is set to; US until it is known."""
    return str(settings.options.get("region") or "us")


def other_region(region: str) -> str:
    """The region that isn't this one."""
    return "us" if region == "eu" else "eu"


def base_url(settings: ConnectorSettings) -> str:
    """Root of the App API: the `base_url` option, else that of the region."""
    options: Mapping[str, Any] = settings.options
    own = options.get("eu_url") or EU_URL if region_of(settings) == "eu" else options.get("us_url") or US_URL
    return str(options.get("base_url") or own).rstrip("/")


def probe_url(settings: ConnectorSettings) -> str:
    """What is asked to prove a key: `probe_url`, else the profile's path below the App API's root."""
    profile = str(settings.options.get("profile") or "vendor")
    path = PROBE_PATHS.get(profile, PROBE_PATHS["vendor"])
    return str(settings.options.get("probe_url") or base_url(settings) + path)


def addresses(settings: ConnectorSettings) -> Mapping[str, str]:
    """Every URL a key is sent to: with `base_url` that one, else both regions', which a refused key is tried in."""
    options = settings.options
    regions = {"us_url": options.get("us_url") or US_URL, "eu_url": options.get("eu_url") or EU_URL}
    roots = {"base_url": options["base_url"]} if options.get("base_url") else regions
    probe = {"probe_url": options["probe_url"]} if options.get("probe_url") else {}
    track = {"track_url": options.get("track_url") or TRACK_URL}
    return {name: str(url) for name, url in {**roots, **probe, **track}.items()}


def track_probe_url(settings: ConnectorSettings) -> str:
    """The Track host's own probe, which takes a Track key pair and answers for either region."""
    return str(settings.options.get("track_url") or TRACK_URL).rstrip("/") + "/accounts/region"
