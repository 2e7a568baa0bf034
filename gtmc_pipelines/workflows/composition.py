"""Composition: what settings and a connector's row make together, ready for a connector or an activity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from gtmc_pipelines.connectors.bound import bound
from gtmc_pipelines.connectors.contract import ConnectorSettings, CredentialSource, HttpLimits
from gtmc_pipelines.connectors.registry import addresses_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing, TokenFormat
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities.consent import consented_options


def compose(settings: Settings, row: ConnectorRow) -> ConnectorSettings:
    """Settings of one connector: the row's own options win over this installation's defaults."""
    return ConnectorSettings(
        tenant_id=row.tenant_id,
        connector_id=row.id,
        options={**_defaults(settings, row.type), **row.options},
        app=_app(settings, row.type),
        sandbox_hosts=settings.allowed_sandbox_hosts,
        ca_file=str(settings.ca_file) if settings.ca_file else None,
        http=HttpLimits.of(row.type),
        http_proxy=Secret(settings.http_proxy.get_secret_value()) if settings.http_proxy else None,
    )


def compose_agreed(settings: Settings, database: Database, row: ConnectorRow) -> ConnectorSettings:
    """What a session is opened with: Office 365 is asked nothing without its agreement, and only under its lists.

    Raises Reauthorize `dpa_not_accepted`.
    """
    composed = compose(settings, row)
    return replace(composed, options={**composed.options, **consented_options(database, row)})


def bound_to(
    settings: Settings, row: ConnectorRow, composed: ConnectorSettings, source: CredentialSource
) -> tuple[CredentialSource, ConnectorSettings]:
    """What a session with a connector's stored credentials is opened with, as the arguments of `authenticate`.

    Reading them raises Reauthorize (`address_changed`) when `composed` leads elsewhere than where they were proven.
    """
    return bound(source, composed, addresses_of(row.type), compose(settings, replace(row, options={})))


def key_ring(settings: Settings) -> KeyRing:
    """The key ring that opens stored secrets. Raises Misuse when no encryption key is set."""
    active: SecretStr | None = settings.encryption_key
    if active is None:
        raise Misuse(
            "no_encryption_key",
            "CONNECTOR_ENCRYPTION_KEY is not set, so stored tokens can't be opened.",
            next_step="Make one with `gtmc keys generate` and set it for every process that syncs.",
        )
    retired = settings.retired_keys.get_secret_value().split(",") if settings.retired_keys else ()
    written, reads_v1 = _FORMATS[settings.token_format]
    return KeyRing.from_hex(active.get_secret_value(), retired, written, reads_v1=reads_v1)


_FORMATS: dict[str, tuple[TokenFormat, bool]] = {"v1": ("v1", True), "v2": ("v2", True), "v2-only": ("v2", False)}
"""What `GTMC_TOKEN_FORMAT` means: the format written, and whether the older one is read."""


def _defaults(settings: Settings, connector: ConnectorType) -> dict[str, Any]:
    options: dict[str, Any] = {"page_records": settings.page_records}
    if connector is ConnectorType.SALESFORCE:
        options |= {
            "login_url": settings.salesforce_login_url,
            "api_version": settings.salesforce_api_version,
            "bulk_threshold": settings.salesforce_bulk_threshold,
            "bulk_page_records": settings.page_records,  # bounds the worker's memory, whatever the org's size
        }
    if connector is ConnectorType.CUSTOMERIO:
        options |= {
            "us_url": settings.customerio_url,
            "eu_url": settings.customerio_eu_url,
            "track_url": settings.customerio_track_url,
        }
    if connector is ConnectorType.DELIVRAI:
        options["base_url"] = settings.delivrai_url
    if connector is ConnectorType.FATHOM and settings.fathom_base_url:
        options["base_url"] = settings.fathom_base_url
    if connector is ConnectorType.O365:
        options |= {"login_url": settings.o365_login_url, "graph_url": settings.o365_graph_url}
    return options


def _app(settings: Settings, connector: ConnectorType) -> dict[str, Secret]:
    apps: dict[ConnectorType, dict[str, SecretStr | None]] = {
        ConnectorType.SALESFORCE: {
            "client_id": settings.salesforce_client_id,
            "client_secret": settings.salesforce_client_secret,
        },
        ConnectorType.O365: {
            "client_id": settings.o365_client_id,
            "client_secret": settings.o365_client_secret,
            "consent_role": SecretStr(settings.o365_consent_role),
        },
    }
    given = apps.get(connector, {})
    return {name: Secret(value.get_secret_value()) for name, value in given.items() if value is not None}
