"""How Fathom is asked: base URL, probe and authentication style, vendor-true or as the product's docs have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource
from gtmc_pipelines.connectors.fathom.errors import not_connected
from gtmc_pipelines.vault.secret import Secret

X_API_KEY, BEARER = "x-api-key", "bearer"


@dataclass(frozen=True, slots=True)
class Profile:
    """Where a kind of Fathom API lives and how it wants the key; `probe_path` is under `base_url`."""

    base_url: str
    auth_style: str
    probe_path: str


VENDOR, PRODUCT_DOCS = "vendor", "product-docs"

PROFILES: Mapping[str, Profile] = {
    VENDOR: Profile("https://api.fathom.ai/external/v1", X_API_KEY, "/teams"),
    PRODUCT_DOCS: Profile("https://api.fathom.video/v1", BEARER, "/user"),
}
"""`product-docs` is what reference/domain.md, section 4.5, says; the vendor itself documents the other."""


OWN_HOSTS = frozenset({"api.fathom.ai", "api.fathom.video"})


def profile_of(options: Mapping[str, Any]) -> Profile:
    """The chosen profile with each part an option may replace."""
    chosen = PROFILES[str(options.get("profile") or VENDOR)]
    return Profile(
        str(options.get("base_url") or chosen.base_url).rstrip("/"),
        str(options.get("auth_style") or chosen.auth_style),
        str(options.get("probe_path") or chosen.probe_path),
    )


def addresses(settings: ConnectorSettings) -> Mapping[str, str]:
    """The one URL the key is sent to."""
    return {"base_url": profile_of(settings.options).base_url}


def api_key(credentials: CredentialSource, tenant_id: str) -> Secret:
    """The stored key. Raises Reauthorize when there is none that a header can carry."""
    key = credentials.read().get("api_key")
    text = key.reveal() if key else ""
    if key is None or not text or not text.isascii() or not text.isprintable():
        raise not_connected(tenant_id)
    return key


def header_of(key: Secret, style: str) -> tuple[str, str]:
    """Name and value of the header that authenticates."""
    return ("Authorization", f"Bearer {key.reveal()}") if style == BEARER else ("X-Api-Key", key.reveal())
