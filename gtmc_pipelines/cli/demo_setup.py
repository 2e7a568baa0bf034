"""The demo's tenants and connectors, made with the commands a user would type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import NamedTemporaryFile
from typing import Any

from gtmc_pipelines.cli import demo_browser
from gtmc_pipelines.cli.console import say
from gtmc_pipelines.connectors.login import KeyLogin
from gtmc_pipelines.connectors.registry import login_of
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.stack.sandbox_part import local_callbacks
from gtmc_pipelines.storage.connectors import find_connector
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import list_tenants

TENANTS = {"acme": "Acme Industrial", "globex": "Globex Corporation", "initech": "Initech"}


@dataclass(frozen=True, slots=True)
class Subject:
    """One connector of one demo tenant."""

    tenant_id: str
    connector: ConnectorType
    connector_id: str = ""


def gtmc(*arguments: str) -> None:
    """Run a `gtmc` command in this process, showing it as it would be typed. Raises what the command raises."""
    from gtmc_pipelines.cli.main import app  # composed of all commands, this one included

    say("[dim]$ gtmc {}[/dim]", shlex.join(arguments))
    app(list(arguments), standalone_mode=False)


def set_up(
    database: Database, connectors: Sequence[ConnectorType], vendors: Mapping[str, Any], ca_file: Path | None
) -> list[Subject]:
    """Three tenants with these connectors, authenticated. What an earlier demo left is used again.

    `vendors` is what the sandbox announced: the test credentials a user would have in hand.
    """
    known = {tenant.id for tenant in list_tenants(database)}
    subjects = []
    for tenant_id, name in TENANTS.items():
        if tenant_id not in known:
            gtmc("tenants", "add", tenant_id, "--name", name)
        subjects += [Subject(tenant_id, connector) for connector in connectors]
    waiting = [subject for subject in subjects if not _is_connected(database, subject)]
    for subject in waiting:
        login = login_of(subject.connector)
        if isinstance(login, KeyLogin):
            _connect_by_key(database, subject, vendors[subject.connector]["credentials"]["orgs"][subject.tenant_id])
        elif find_connector(database, subject.tenant_id, subject.connector) is None:
            gtmc("connectors", "add", "--tenant", subject.tenant_id, "--type", subject.connector)
        if subject.connector is ConnectorType.O365:
            _consent(subject.tenant_id, vendors[subject.connector]["credentials"]["orgs"][subject.tenant_id])
    in_browser = [one for one in waiting if not isinstance(login_of(one.connector), KeyLogin)]
    callbacks: SimpleQueue[str] = SimpleQueue()  # a login waits on an address of its own
    for uri in local_callbacks(vendors[ConnectorType.SALESFORCE]):
        callbacks.put(uri)
    with ThreadPoolExecutor(max_workers=max(1, min(3, callbacks.qsize()))) as pool:
        list(pool.map(lambda one: _connect_in_browser(one, ca_file, callbacks), in_browser))
    return [_found(database, subject) for subject in subjects]


def _consent(tenant_id: str, org: Mapping[str, Any]) -> None:
    """Accept the agreement and allow some partners' domains: without both, nothing of Office 365 is asked or kept."""
    gtmc("o365", "accept-dpa", "--tenant", tenant_id, "--by", "demo")
    gtmc(
        "o365", "domains", "add", "--tenant", tenant_id, "--own", org["domain"], "--by", "demo", *org["allowed_domains"]
    )


def _connect_by_key(database: Database, subject: Subject, credentials: Mapping[str, Any]) -> None:
    """Add (or connect again) with the vendor's key in a file, as a user would keep it off the command line."""
    with NamedTemporaryFile("w", prefix="gtmc-demo-", suffix=".key") as file:  # mode 0600
        file.write(str(credentials["api_key"]))
        file.flush()
        who = ("--tenant", subject.tenant_id)
        if find_connector(database, subject.tenant_id, subject.connector) is None:
            gtmc("connectors", "add", *who, "--type", subject.connector, "--key-file", file.name)
        else:
            gtmc("connectors", "connect", *who, "--connector", subject.connector, "--key-file", file.name)


def _connect_in_browser(subject: Subject, ca_file: Path | None, callbacks: SimpleQueue[str]) -> None:
    command = f"gtmc connectors connect --tenant {subject.tenant_id} --connector {subject.connector}"
    say("[dim]$ {}[/dim]", command)
    callback = callbacks.get()
    try:
        demo_browser.connect(subject.tenant_id, subject.connector, ca_file, callback)
    finally:
        callbacks.put(callback)


def _is_connected(database: Database, subject: Subject) -> bool:
    row = find_connector(database, subject.tenant_id, subject.connector)
    return row is not None and row.status in (ConnectorStatus.CONNECTED, ConnectorStatus.SYNCING)


def _found(database: Database, subject: Subject) -> Subject:
    row = find_connector(database, subject.tenant_id, subject.connector)
    assert row is not None
    return Subject(subject.tenant_id, subject.connector, row.id)
