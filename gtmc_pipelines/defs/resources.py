"""The five resources, one per connector type, for our own assets and for anybody's ad-hoc ones.

Settings left out are those of the connector and the installation; secrets left out are the tenant's
own, from the vault, and go only where they were proven: who names another address gives secrets, too, and run
config may refer to variables only whose names start with GTMC_SECRET_. In an asset:

    @dg.asset
    def open_cases(salesforce: SalesforceResource) -> None:
        with salesforce.client("acme") as sf:
            sf.query("SELECT COUNT() FROM Case WHERE IsClosed = false")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import Field

from gtmc_pipelines.connectors.contract import Credentials
from gtmc_pipelines.defs.vendor_resource import SECRET, VendorResource, given_options, given_secrets
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.vault.secret import Secret

_KEY = "Key used instead of the tenant's stored one: dg.EnvVar, never a literal."


class SalesforceResource(VendorResource):
    """Salesforce. `client` is a `simple_salesforce.Salesforce` that renews expired tokens by itself."""

    connector: ClassVar[ConnectorType] = ConnectorType.SALESFORCE
    api_version: str | None = Field(default=None, description="REST API version, for example 66.0.")
    page_records: int | None = Field(default=None, ge=200, le=50_000, description="Records a page.")
    bulk_threshold: int | None = Field(default=None, ge=0, description="Full reads of more records use Bulk API 2.0.")
    client_id: str | None = Field(default=None, description="Consumer key of another External Client App.")
    client_secret: str | None = Field(default=None, description="Its consumer secret.", json_schema_extra=SECRET)

    def options(self) -> Mapping[str, Any]:
        """The settings that were given."""
        return given_options(
            api_version=self.api_version, page_records=self.page_records, bulk_threshold=self.bulk_threshold
        )

    def app(self) -> Mapping[str, Secret]:
        """The app that was given."""
        return given_secrets(client_id=self.client_id, client_secret=self.client_secret)

    @contextmanager
    def client(self, tenant: str) -> Iterator[Any]:
        """A `simple_salesforce.Salesforce` client of the tenant's org, closed on exit."""
        with self.session(tenant) as session:
            yield session.plain_client()  # type: ignore[attr-defined]


class KeyedResource(VendorResource):
    """A vendor whose API takes one key. An address other than the connector's needs a key of its own."""

    address_fields: ClassVar[tuple[str, ...]] = ("base_url",)
    secret_fields: ClassVar[tuple[str, ...]] = ("api_key",)
    base_url: str | None = Field(default=None, description="Root of the API instead of the installation's.")
    api_key: str | None = Field(default=None, description=_KEY, json_schema_extra=SECRET)

    def options(self) -> Mapping[str, Any]:
        """The settings that were given."""
        return given_options(base_url=self.base_url)

    def given_credentials(self) -> Credentials:
        """The key that was given."""
        return given_secrets(api_key=self.api_key)


class CustomerioResource(KeyedResource):
    """Customer.io App API. `client` has `search_people`, `attributes`, `email_messages` and `activities`.

    with customerio.client("acme") as cio:
        page = json.loads(cio.activities(""))["activities"]
    """

    connector: ClassVar[ConnectorType] = ConnectorType.CUSTOMERIO
    address_fields: ClassVar[tuple[str, ...]] = ("base_url", "region")
    region: str | None = Field(default=None, description="us or eu instead of the connector's.", pattern="^(us|eu)$")

    def options(self) -> Mapping[str, Any]:
        """The settings that were given."""
        return {**super().options(), **given_options(region=self.region)}


class DelivraiResource(KeyedResource):
    """Delivr.ai. `client` has `get(path, parameters)` and `post(path, body)`, both giving the body's bytes.

    with delivrai.client("acme") as delivr:
        signals = json.loads(delivr.get("/v1/intent-signals", {"limit": "10"}))
    """

    connector: ClassVar[ConnectorType] = ConnectorType.DELIVRAI
    secret_fields: ClassVar[tuple[str, ...]] = ("api_key", "api_secret")
    api_secret: str | None = Field(default=None, description="Secret beside the key.", json_schema_extra=SECRET)

    def given_credentials(self) -> Credentials:
        """The key and secret that were given."""
        return given_secrets(api_key=self.api_key, api_secret=self.api_secret)


class FathomResource(KeyedResource):
    """Fathom. `client` has `meetings(parameters)`, `transcript(recording_id)` and `summary(recording_id)`.

    with fathom.client("acme") as fathom_video:
        meetings = json.loads(fathom_video.meetings({}))["items"]
    """

    connector: ClassVar[ConnectorType] = ConnectorType.FATHOM


class O365Resource(VendorResource):
    """Microsoft 365 through Graph. `client` has `mailboxes()` and `get(url)`; nothing works without an agreement.

    with o365.client("acme") as graph:
        keys = [mailbox.key for mailbox in graph.mailboxes()]
    """

    connector: ClassVar[ConnectorType] = ConnectorType.O365
    address_fields: ClassVar[tuple[str, ...]] = ("graph_url", "login_url")
    secret_fields: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")
    graph_url: str | None = Field(default=None, description="Graph with its version instead of the installation's.")
    login_url: str | None = Field(default=None, description="Login host of the cloud instead of the installation's.")
    client_id: str | None = Field(default=None, description="Application id of another app registration.")
    client_secret: str | None = Field(default=None, description="Its client secret.", json_schema_extra=SECRET)

    def options(self) -> Mapping[str, Any]:
        """The settings that were given."""
        return given_options(graph_url=self.graph_url, login_url=self.login_url)

    def app(self) -> Mapping[str, Secret]:
        """The app registration that was given."""
        return given_secrets(client_id=self.client_id, client_secret=self.client_secret)

    def brings_credentials(self) -> bool:
        """Whether an app registration was given: the tenant itself stores no secret, but its directory's id."""
        return {"client_id", "client_secret"} <= self.app().keys()


_RESOURCES: Mapping[ConnectorType, type[VendorResource]] = {
    ConnectorType.SALESFORCE: SalesforceResource,
    ConnectorType.CUSTOMERIO: CustomerioResource,
    ConnectorType.DELIVRAI: DelivraiResource,
    ConnectorType.O365: O365Resource,
    ConnectorType.FATHOM: FathomResource,
}


def vendor_resource(connector: ConnectorType) -> VendorResource:
    """The resource of a connector type."""
    return _RESOURCES[connector]()
