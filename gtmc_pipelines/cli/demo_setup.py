"""The demo's tenants and connectors, made with the commands a user would type."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gtmc_pipelines.cli import demo_browser
from gtmc_pipelines.cli.console import console
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.storage.connectors import find_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import list_tenants

TENANTS = {"acme": "Acme Industrial", "globex": "Globex Corporation", "initech": "Initech"}

OAUTH = frozenset({ConnectorType.SALESFORCE})


@dataclass(frozen=True, slots=True)
class Subject:
    """One connector of one demo tenant."""

    tenant_id: str
    connector: ConnectorType
    connector_id: str = ""


def gtmc(*arguments: str) -> None:
    """Run a `gtmc` command in this process, showing it as it would be typed. Raises what the command raises."""
    from gtmc_pipelines.cli.main import app  # composed of all commands, this one included

    console.print(f"[dim]$ gtmc {shlex.join(arguments)}[/dim]", highlight=False)
    app(list(arguments), standalone_mode=False)


def set_up(database: Database, connectors: Sequence[ConnectorType], ca_file: Path | None) -> list[Subject]:
    """Three tenants with these connectors, authenticated. What an earlier demo left is used again."""
    known = {tenant.id for tenant in list_tenants(database)}
    subjects = []
    for tenant_id, name in TENANTS.items():
        if tenant_id not in known:
            gtmc("tenants", "add", tenant_id, "--name", name)
        for connector in connectors:
            if find_connector(database, tenant_id, connector) is None:
                gtmc("connectors", "add", "--tenant", tenant_id, "--type", connector)
            subjects.append(Subject(tenant_id, connector))
    _authenticate(database, subjects, ca_file)
    return [_found(database, subject) for subject in subjects]


def _authenticate(database: Database, subjects: Sequence[Subject], ca_file: Path | None) -> None:
    """Connect what isn't connected yet; each OAuth flow is a `gtmc connectors connect` of its own."""
    waiting = [subject for subject in subjects if subject.connector in OAUTH and not _is_connected(database, subject)]
    for subject in waiting:
        console.print(
            f"[dim]$ gtmc connectors connect --tenant {subject.tenant_id} --connector {subject.connector}[/dim]",
            highlight=False,
        )
    with ThreadPoolExecutor(max_workers=3) as pool:
        list(pool.map(lambda one: demo_browser.connect(one.tenant_id, one.connector, ca_file), waiting))


def _is_connected(database: Database, subject: Subject) -> bool:
    row = find_connector(database, subject.tenant_id, subject.connector)
    return row is not None and row.status in (ConnectorStatus.CONNECTED, ConnectorStatus.SYNCING)


def _found(database: Database, subject: Subject) -> Subject:
    row = find_connector(database, subject.tenant_id, subject.connector)
    assert row is not None
    return Subject(subject.tenant_id, subject.connector, row.id)
