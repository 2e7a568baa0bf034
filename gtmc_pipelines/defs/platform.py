"""The platform a run works with: settings, database and a line to Temporal, opened when first needed.

Everything heavy is imported here and inside functions, so that definitions load fast and with
nothing running.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from gtmc_pipelines.defs.run_config import UNSAID
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.settings import Settings, load_settings

if TYPE_CHECKING:
    from gtmc_pipelines.storage.engine import Database
    from gtmc_pipelines.storage.read_models import ConsentStanding, DueConnector
    from gtmc_pipelines.workflows.client import SyncClient


@dataclass(frozen=True, slots=True)
class Platform:
    """An open platform. `client` may be used from any thread."""

    settings: Settings
    database: Database
    client: SyncClient


class GtmcResource(dg.ConfigurableResource[None]):
    """GTM Clarity's platform. Addresses and keys come from the environment, never from run config."""

    model_config = UNSAID
    database_connections: int = Field(default=8, ge=1, description="Connections a process keeps to PostgreSQL.")

    def settings(self) -> Settings:
        """The validated environment. Raises Misuse that lists every problem."""
        return load_settings()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The platform's database, closed on exit. Raises Misuse when it can't be reached."""
        from gtmc_pipelines.storage.engine import open_database

        opened = open_database(self.settings().required("database_url"), pool_size=self.database_connections)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def open(self) -> Iterator[Platform]:
        """Database and Temporal, closed on exit. Raises Misuse when either can't be reached."""
        from gtmc_pipelines.workflows.client import SyncClient

        settings = self.settings()
        with self.database() as database, SyncClient.open(settings) as client:
            yield Platform(settings, database, client)

    def connected_tenants(self, types: tuple[ConnectorType, ...]) -> Mapping[ConnectorType, list[str]]:
        """Tenants of each type whose connector is authenticated, whatever its last sync did. One query."""
        from gtmc_pipelines.storage.read_models import connected_by_type

        with self.database() as database:
            return connected_by_type(database, types)

    def due_connectors(self, connector: ConnectorType | None, at: datetime) -> list[DueConnector]:
        """Connectors of a type (None: of all) that may be synced at `at`, longest unsynced first. One query.

        Left out: running, deferred to later, waiting for the user.
        """
        from gtmc_pipelines.storage.read_models import due_connectors

        with self.database() as database:
            return due_connectors(database, connector, at)

    def consent_standings(self) -> list[ConsentStanding]:
        """Every connected Office 365 connector with its tenant's agreement. One query."""
        from gtmc_pipelines.storage.read_models import consent_standings

        with self.database() as database:
            return consent_standings(database)
