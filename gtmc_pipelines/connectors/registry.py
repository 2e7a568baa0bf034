"""Which connectors there are, how each is connected and what it can be told: a new vendor is added here."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from gtmc_pipelines.connectors.contract import Connector
from gtmc_pipelines.connectors.customerio import auth as customerio_auth
from gtmc_pipelines.connectors.customerio import connector as customerio
from gtmc_pipelines.connectors.customerio import hosts as customerio_hosts
from gtmc_pipelines.connectors.delivrai import connector as delivrai
from gtmc_pipelines.connectors.delivrai import dialect as delivrai_dialect
from gtmc_pipelines.connectors.destinations import Addresses
from gtmc_pipelines.connectors.fathom import auth as fathom_auth
from gtmc_pipelines.connectors.fathom import connector as fathom
from gtmc_pipelines.connectors.login import BrowserLogin, KeyLogin
from gtmc_pipelines.connectors.o365 import addresses as o365_addresses
from gtmc_pipelines.connectors.o365 import auth as o365_auth
from gtmc_pipelines.connectors.o365 import connector as o365
from gtmc_pipelines.connectors.options import Option
from gtmc_pipelines.connectors.salesforce import auth as salesforce_auth
from gtmc_pipelines.connectors.salesforce import connector as salesforce
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.errors import Misuse

CONNECTORS: Mapping[ConnectorType, Connector] = {
    ConnectorType.SALESFORCE: salesforce.SalesforceConnector(),
    ConnectorType.CUSTOMERIO: customerio.CustomerioConnector(),
    ConnectorType.DELIVRAI: delivrai.DelivraiConnector(),
    ConnectorType.FATHOM: fathom.FathomConnector(),
    ConnectorType.O365: o365.O365Connector(),
}

LOGINS: Mapping[ConnectorType, BrowserLogin | KeyLogin] = {
    ConnectorType.SALESFORCE: salesforce_auth.SalesforceLogin(),
    ConnectorType.CUSTOMERIO: customerio_auth.LOGIN,
    ConnectorType.DELIVRAI: delivrai.LOGIN,
    ConnectorType.FATHOM: KeyLogin(),
    ConnectorType.O365: o365_auth.O365Login(),
}

OPTIONS: Mapping[ConnectorType, tuple[Option, ...]] = {
    ConnectorType.SALESFORCE: salesforce.OPTIONS,
    ConnectorType.CUSTOMERIO: customerio.OPTIONS,
    ConnectorType.DELIVRAI: delivrai.OPTIONS,
    ConnectorType.FATHOM: fathom.OPTIONS,
    ConnectorType.O365: o365.OPTIONS,
}


ADDRESSES: Mapping[ConnectorType, Addresses] = {
    ConnectorType.SALESFORCE: Addresses(salesforce_auth.addresses, salesforce_auth.is_own_host, "instance_url"),
    ConnectorType.CUSTOMERIO: Addresses(customerio_hosts.addresses, customerio_hosts.OWN_HOSTS.__contains__),
    ConnectorType.DELIVRAI: Addresses(delivrai_dialect.addresses, delivrai_dialect.OWN_HOSTS.__contains__),
    ConnectorType.FATHOM: Addresses(fathom_auth.addresses, fathom_auth.OWN_HOSTS.__contains__),
    ConnectorType.O365: Addresses(o365_addresses.addresses, o365_addresses.is_own_host),
}


def connector_type(text: str) -> ConnectorType:
    """The type named `text`. Raises Misuse that lists the types."""
    try:
        return ConnectorType(text)
    except ValueError:
        types = [kind.value for kind in ConnectorType]
        near = get_close_matches(text.lower()[:40], types, n=1)
        raise Misuse(
            "unknown_connector_type",
            f"There is no connector type {text[:40]!r}.",
            next_step=(f"Did you mean {near[0]}? " if near else "") + f"Types are: {', '.join(types)}.",
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


def login_of(kind: ConnectorType) -> BrowserLogin | KeyLogin:
    """How connectors of a type are connected. Raises Misuse as `connector_of` does."""
    connector_of(kind)
    return LOGINS[kind]


def addresses_of(kind: ConnectorType) -> Addresses:
    """Where credentials of a type are sent. Raises Misuse as `connector_of` does."""
    connector_of(kind)
    return ADDRESSES[kind]


def options_of(kind: ConnectorType) -> tuple[Option, ...]:
    """Options a connector of a type takes. Raises Misuse as `connector_of` does."""
    connector_of(kind)
    return OPTIONS.get(kind, ())
