"""What the journeys share: a desk with everything a command needs, and one connected to the sandbox's Salesforce."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gtmc_pipelines.model.connector_types import ConnectorStatus
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.vault.keyring import KeyRing
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines_tests.connectors.salesforce_scene import Org
from gtmc_pipelines_tests.journeys.desk import Desk

CONNECTED = "acme"


@pytest.fixture
def empty_desk(tmp_path: Path) -> Desk:
    """A desk in an empty folder with an empty environment."""
    return Desk(tmp_path)


@pytest.fixture
def org(sandbox: dict[str, Any]) -> Org:
    """The org `acme` as at its start, without faults."""
    found = Org.of(sandbox, CONNECTED)
    found.ask("POST", "reset", {})
    return found


@pytest.fixture
def desk(tmp_path: Path, postgres_url: str, database: Database, temporal_address: str, org: Org) -> Desk:
    """A desk with PostgreSQL, Temporal and the sandbox as Salesforce; a task queue nobody polls yet."""
    return Desk(
        tmp_path,
        {
            "GTMC_DATABASE_URL": postgres_url,
            "TEMPORAL_ADDRESS": temporal_address,
            "GTMC_TASK_QUEUE": f"journey-{uuid.uuid4().hex[:12]}",
            "GTMC_HEARTBEAT_SECONDS": "4",
            "CONNECTOR_ENCRYPTION_KEY": os.urandom(32).hex(),
            "SALESFORCE_CLIENT_ID": org.client_id,
            "SALESFORCE_CLIENT_SECRET": org.client_secret,
            "SALESFORCE_LOGIN_URL": org.base,
            "SALESFORCE_CALLBACK_URL": org.callback,
            "GTMC_DEVELOPMENT": "1",
            "GTMC_SANDBOX_HOSTS": org.host,
        },
    )


@pytest.fixture
def connected(desk: Desk, database: Database, org: Org) -> Callable[[str], tuple[str, ...]]:
    """Gives a tenant a connected Salesforce without a login page, and the options that name both."""

    def connect(tenant: str) -> tuple[str, ...]:
        row = add_connector(database, tenant, "salesforce", options={"instance_url": org.base})
        keys = KeyRing.from_hex(desk.environment["CONNECTOR_ENCRYPTION_KEY"])
        StoredCredentials(database, keys, tenant, row.id).save({"access_token": Secret(org.access_token)})
        with database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
        return ("--tenant", tenant, "--connector", "salesforce")

    return connect
