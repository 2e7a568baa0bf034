"""Consent: nothing of a mailbox is read or written without an accepted data-processing agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Reauthorize
from gtmc_pipelines.storage.connectors import ConnectorRow
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.o365 import NOT_ACCEPTED, get_config
from gtmc_pipelines.workflows.inputs import SyncRequest

DOMAINS_CHANGED = "allowed_domains_changed"
"""Code of the Retry with which a segment hands over: what it has read under the old lists isn't written."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a tenant has agreed to: the lists a mailbox is read under. Empty for other connectors."""

    allowed_domains: tuple[str, ...] = ()
    own_domain: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The lists as options of a connector; they win over anything on the connector's row."""
        return {
            "allowed_domains": list(self.allowed_domains),
            "own_domains": [self.own_domain] if self.own_domain else [],
        }


def require_consent(database: Database, request: SyncRequest) -> Agreed:
    """The first statement of an Office 365 sync and of every batch; nothing for other connectors.

    Raises Reauthorize `dpa_not_accepted`: a withdrawal stops a running sync at its next batch.
    """
    return _agreed(database, request.kind, request.tenant_id)


def consented_options(database: Database, row: ConnectorRow) -> dict[str, Any]:
    """Options a session is opened with, read at that moment. Raises as `require_consent` does."""
    if row.type is not ConnectorType.O365:
        return {}
    return _agreed(database, row.type, row.tenant_id).options


def _agreed(database: Database, kind: ConnectorType, tenant_id: str) -> Agreed:
    if kind is not ConnectorType.O365:
        return Agreed()
    with database.tenant(tenant_id) as handle:
        config = get_config(handle, tenant_id)
    if not config.is_accepted:
        raise Reauthorize(
            NOT_ACCEPTED,
            f"Tenant {tenant_id} has not accepted the data-processing agreement for Office 365.",
            next_step=f"Accept it: gtmc o365 accept-dpa --tenant {tenant_id}",
        )
    return Agreed(tuple(sorted(config.allowed_domains)), config.tenant_o365_domain)
