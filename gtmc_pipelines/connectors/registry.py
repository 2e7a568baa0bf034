"""Which connectors there are: the one place a new vendor is added to."""

from __future__ import annotations

from collections.abc import Mapping

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.connectors.salesforce.connector import SalesforceConnector
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse

CONNECTORS: Mapping[ConnectorType, Connector] = {
    ConnectorType.SALESFORCE: SalesforceConnector(),
}


def connector_type(text: str) -> ConnectorType:
    """The type named `text`. Raises Misuse that lists the types."""
    try:
        return ConnectorType(text)
    except ValueError:
        raise Misuse(
            "unknown_connector_type",
            f"There is no connector type {text[:40]!r}.",
            next_step=f"Types are: {', '.join(kind.value for kind in ConnectorType)}.",
        ) from None


def connector_of(kind: ConnectorType | str) -> Connector:
    """The connector of a type. Raises Misuse for an unknown type and for one that isn't installed."""
    found = CONNECTORS.get(connector_type(kind))
    if found is None:
        raise Misuse(
            "connector_not_installed",
            f"The {ConnectorType(kind).label} connector is not part of this version.",
            next_step=f"Installed are: {', '.join(installed.value for installed in CONNECTORS)}.",
        )
    return found
