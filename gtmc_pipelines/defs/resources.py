"""Resources: one per connector type, for our own assets and, by `session` and `client`, for anybody's ad-hoc ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pydantic import Field

from gtmc_pipelines.connectors.contract import Session
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.model.connector_types import ConnectorType


class VendorResource(GtmcResource):
    """What every vendor's resource can do. A vendor adds its typed settings and its own kind of client.

    Secrets are never part of it: they are opened from the vault when a session is made.
    """

    connector: ConnectorType = Field(description="Type key of the connector.")
    follow_seconds: float = Field(default=1.0, gt=0, description="How often a running sync is looked at, in seconds.")
    sweep_concurrency: int = Field(default=25, ge=1, le=200, description="Syncs a sweep run has going at once.")

    def options(self) -> Mapping[str, Any]:
        """Settings of this resource that sessions use instead of the installation's; none here."""
        return {}

    @contextmanager
    def session(self, tenant: str) -> Iterator[Session]:
        """An authenticated conversation with the vendor on behalf of a tenant, closed on exit.

        Raises Misuse for an unknown tenant or connector, Reauthorize when the user must reconnect.
        """
        from gtmc_pipelines.connectors.registry import connector_of
        from gtmc_pipelines.storage.connectors import require_connector
        from gtmc_pipelines.storage.credentials import StoredCredentials
        from gtmc_pipelines.workflows.composition import compose, key_ring

        settings = self.settings()
        with self.database() as database:
            row = require_connector(database, tenant, self.connector.value)
            composed = compose(settings, row)
            composed = replace(composed, options={**composed.options, **self.options()})
            credentials = StoredCredentials(database, key_ring(settings), tenant, row.id)
            session = connector_of(self.connector).authenticate(credentials, composed)
            try:
                yield session
            finally:
                session.close()


class SalesforceResource(VendorResource):
    """Salesforce. Settings left out are those of the installation (SALESFORCE_… variables).

    They apply to sessions and clients made here; syncs run on the worker, with the worker's settings.

        @dg.asset
        def open_cases(salesforce: SalesforceResource) -> None:
            with salesforce.client("acme") as sf:
                sf.query("SELECT COUNT() FROM Case WHERE IsClosed = false")
    """

    connector: ConnectorType = Field(default=ConnectorType.SALESFORCE, description="Type key of the connector.")
    api_version: str | None = Field(default=None, description="REST API version, for example 60.0.")
    page_records: int | None = Field(default=None, ge=200, le=50_000, description="Records a page.")
    bulk_threshold: int | None = Field(default=None, ge=0, description="Full reads of more records use Bulk API 2.0.")

    def options(self) -> Mapping[str, Any]:
        """The settings that were given."""
        given = {
            "api_version": self.api_version,
            "page_records": self.page_records,
            "bulk_threshold": self.bulk_threshold,
        }
        return {name: value for name, value in given.items() if value is not None}

    @contextmanager
    def client(self, tenant: str) -> Iterator[Any]:
        """A `simple_salesforce.Salesforce` client of the tenant's org, closed on exit.

        It renews expired tokens by itself, keeps to the vendor's pace, and raises our error tree.
        """
        with self.session(tenant) as session:
            yield session.plain_client()  # type: ignore[attr-defined]


def vendor_resource(connector: ConnectorType) -> VendorResource:
    """The resource of a connector type; a type without settings of its own gets the plain one."""
    if connector is ConnectorType.SALESFORCE:
        return SalesforceResource()
    return VendorResource(connector=connector)
