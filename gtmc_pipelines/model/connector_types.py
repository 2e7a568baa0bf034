"""The five connector types and the four documented states of a connector."""

from __future__ import annotations

from enum import StrEnum


class ConnectorType(StrEnum):
    """Type keys exactly as the platform stores them (reference/domain.md, section 0)."""

    SALESFORCE = "salesforce"
    CUSTOMERIO = "customerio"
    DELIVRAI = "delivrai"
    O365 = "o365"
    FATHOM = "fathom"

    @property
    def label(self) -> str:
        """The vendor's name as people write it."""
        return _LABELS[self]


_LABELS = {
    ConnectorType.SALESFORCE: "Salesforce",
    ConnectorType.CUSTOMERIO: "Customer.io",
    ConnectorType.DELIVRAI: "Delivr.ai",
    ConnectorType.O365: "Office 365",
    ConnectorType.FATHOM: "Fathom.video",
}


class ConnectorStatus(StrEnum):
    """Status of a connector row: exactly the documented four."""

    DISCONNECTED = "disconnected"  # not authenticated
    CONNECTED = "connected"  # authenticated and idle
    SYNCING = "syncing"  # a workflow is running
    ERROR = "error"  # the last sync failed; last_sync_error names cause and next step
