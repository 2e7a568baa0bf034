"""What every vendor's resource can do: sessions on behalf of a tenant, from stored or given secrets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import dagster as dg
from pydantic import Field

from gtmc_pipelines.connectors.contract import Credentials, CredentialSource, Session
from gtmc_pipelines.defs.platform import GtmcResource
from gtmc_pipelines.defs.run_config import config_of_resource, refuse_bare_address, refuse_foreign_variables
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.vault.secret import Secret

SECRET: dict[str, Any] = {"dagster__is_secret": True}
"""Marks a field: Dagster shows dots for it, and an `EnvVar` is what belongs there."""


class VendorResource(GtmcResource):
    """What every vendor's resource can do. A vendor adds its typed settings and its own kind of client.

    A tenant's secrets are opened from the vault when a session is made. Settings and secrets given
    here apply to sessions and clients made here; syncs run on the worker, with the worker's settings.
    Stored secrets go only where they were proven: an address given here needs secrets given here. Secrets given
    without an address go to the vendor, or where this installation says, whatever the tenant's connector says.
    """

    connector: ClassVar[ConnectorType]
    address_fields: ClassVar[tuple[str, ...]] = ()
    secret_fields: ClassVar[tuple[str, ...]] = ()
    follow_seconds: float = Field(default=1.0, gt=0, description="How often a running sync is looked at, in seconds.")
    sweep_concurrency: int = Field(default=25, ge=1, le=200, description="Syncs a sweep run has going at once.")

    def options(self) -> Mapping[str, Any]:
        """Settings of this resource that sessions use instead of the installation's; none here."""
        return {}

    def app(self) -> Mapping[str, Secret]:
        """Secrets of an app registration that sessions use instead of the installation's; none here."""
        return {}

    def given_credentials(self) -> Credentials:
        """Secrets that sessions use instead of the tenant's stored ones; none here."""
        return {}

    def brings_credentials(self) -> bool:
        """Whether all secrets that a session sends are given here, so that none of the tenant's goes along."""
        return bool(self.given_credentials())

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Refuse run config that takes variables or secrets away. Raises Misuse."""
        written = config_of_resource(context)
        refuse_foreign_variables(written)
        secrets = {name: getattr(self, name) for name in self.secret_fields}
        refuse_bare_address(written, self.address_fields, secrets)

    @contextmanager
    def session(self, tenant: str) -> Iterator[Session]:
        """An authenticated conversation with the vendor on behalf of a tenant, closed on exit.

        It keeps to the vendor's pace and raises our error tree. Raises Misuse for an unknown tenant or
        connector and for an address without credentials, Reauthorize when the user must reconnect, when the
        connector's settings lead elsewhere than where its secrets were proven, or without Office 365's agreement.
        """
        from gtmc_pipelines.connectors.registry import connector_of
        from gtmc_pipelines.storage.connectors import require_connector
        from gtmc_pipelines.storage.credentials import StoredCredentials
        from gtmc_pipelines.workflows.composition import bound_to, compose_agreed, key_ring

        settings, named = self.settings(), [name for name in self.address_fields if getattr(self, name) is not None]
        if named and not self.brings_credentials():
            refuse_bare_address({name: getattr(self, name) for name in named}, named, dict.fromkeys(self.secret_fields))
        with self.database() as database:
            row = require_connector(database, tenant, self.connector.value)
            composed = compose_agreed(settings, database, row)
            composed = replace(
                composed, options={**composed.options, **self.options()}, app={**composed.app, **self.app()}
            )
            given = self.given_credentials()
            source: CredentialSource
            if given:  # then no vault is needed, nor its key
                source = _Given(given)
            else:
                source = StoredCredentials(database, key_ring(settings), tenant, row.id, actor="dagster")
            if not (named and self.brings_credentials()):  # else they would go where the tenant's connector says
                source, composed = bound_to(settings, row, composed, source)
            session = connector_of(self.connector).authenticate(source, composed)
            try:
                yield session
            finally:
                session.close()

    @contextmanager
    def client(self, tenant: str) -> Iterator[Any]:
        """The vendor's client for ad-hoc work on behalf of a tenant, closed on exit; here the session itself."""
        with self.session(tenant) as session:
            yield session


class _Given:
    """A CredentialSource of secrets that the resource was given. They are never renewed or stored."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def read(self) -> Credentials:
        return self._credentials

    def renew(self, stale: Secret, exchange: Callable[[Credentials], Credentials]) -> Credentials:
        return exchange(self._credentials)


def given_options(**values: Any) -> dict[str, Any]:
    """Those that were set."""
    return {name: value for name, value in values.items() if value is not None}


def given_secrets(**values: str | None) -> dict[str, Secret]:
    """The same for secrets. Asterisks alone are none: the Launchpad fills in its own mask where nothing was set."""
    return {name: Secret(value) for name, value in values.items() if value and value.strip("*")}
