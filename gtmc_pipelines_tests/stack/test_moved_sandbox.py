"""A stack whose sandbox comes back on other ports mends its own connectors, and no others."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.settings import Settings, load_settings
from gtmc_pipelines.stack import sandbox_part
from gtmc_pipelines.stack.embedded import Stack, StackOptions
from gtmc_pipelines.stack.sandbox_addresses import SandboxAddresses
from gtmc_pipelines.storage.audit_entries import list_entries
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector, require_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.cursors import StreamState, get_state, put_state
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.readdressing import moved
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.keyring import KeyRing, generate_key_hex
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.authorization import verify
from gtmc_pipelines.workflows.moved_sandbox import main, moves_of
from gtmc_pipelines_tests.acceptance.site import Site
from gtmc_pipelines_tests.acceptance.subjects import SUBJECTS

SANDBOX_ONLY = StackOptions(worker=False, dagster=False)
KEY = generate_key_hex()
URLS: dict[ConnectorType, dict[str, str]] = {
    ConnectorType.SALESFORCE: {"login_url": "{http}", "instance_url": "{https}"},
    ConnectorType.CUSTOMERIO: {"base_url": "{http}/v1"},
    ConnectorType.DELIVRAI: {"base_url": "{http}"},
    ConnectorType.FATHOM: {"base_url": "{http}/external/v1"},
    ConnectorType.O365: {"login_url": "{https}", "graph_url": "{http}/v1.0"},
}
"""Options of each connector that name an address; a sixth connector adds its own."""
REAL = {"instance_url": "https://northwind.my.salesforce.com", "login_url": "https://login.salesforce.com"}


@pytest.fixture
def settings(postgres_url: str, temporal_address: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A stack that brings nothing but its sandbox, on ports of this test's own, and a database of the user's own."""
    url = make_url(postgres_url)
    passwords = home / "passwords"  # the server's own file is closed to what the stack starts
    passwords.write_text(Path(str(url.query["passfile"])).read_text())
    passwords.chmod(0o600)
    url = url.update_query_dict({"passfile": str(passwords)})
    monkeypatch.setenv("GTMC_DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    monkeypatch.setenv("CONNECTOR_ENCRYPTION_KEY", KEY)
    monkeypatch.setenv("GTMC_HOME", str(home))
    monkeypatch.setitem(sandbox_part.USUAL_PORTS, "sandbox", 18_800 + 100 * (os.getpid() % 100))
    return load_settings()


@dataclass
class Scene:
    """What one start of the stack left in the database."""

    database: Database
    tenant: str
    rows: dict[ConnectorType, ConnectorRow] = field(default_factory=dict)

    def connect_all(self, announcement: dict[str, Any]) -> None:
        """A connector of every vendor with options that name its address."""
        for subject in SUBJECTS:
            site = Site(subject.type.value, announcement)
            held = subject.connect(site)
            urls = urls_of(subject.type, announcement)
            row = add_connector(self.database, self.tenant, subject.type, options={**held.options, **urls})
            self.sealed(KEY, row).save(held.credentials)
            if subject.consent is not None:
                subject.consent(self.database, self.tenant, site)
            self.rows[subject.type] = row

    def sealed(self, key: str, row: ConnectorRow) -> StoredCredentials:
        """The credentials of a connector by a key."""
        return StoredCredentials(self.database, KeyRing.from_hex(key), row.tenant_id, row.id)

    def now(self, row: ConnectorRow) -> ConnectorRow:
        """The connector as it is stored."""
        return require_connector(self.database, row.tenant_id, row.id)

    def salesforce_of(self, name: str, key: str, options: dict[str, str]) -> ConnectorRow:
        """Another tenant's Salesforce connector, made by hand."""
        tenant = f"{self.tenant}-{name}"
        add_tenant(self.database, tenant)
        row = add_connector(self.database, tenant, ConnectorType.SALESFORCE, options=options)
        self.sealed(key, row).save({"access_token": Secret("t"), "instance_url": Secret(options["instance_url"])})
        return self.now(row)


def urls_of(kind: ConnectorType, announcement: dict[str, Any]) -> dict[str, str]:
    vendor = announcement["vendors"][kind.value]
    return {name: url.format(http=vendor["http"], https=vendor["https"]) for name, url in URLS[kind].items()}


def announced(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "sandbox.json").read_text())
    return found


@pytest.mark.services
def test_connectors_of_a_sandbox_that_moved_are_mended_and_no_others(
    settings: Settings, database: Database, tenant: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(database, tenant)
    with Stack(settings, SANDBOX_ONLY) as stack:
        stack.start()
        former = announced(home)
        scene.connect_all(former)
        assert not (home / "logs" / "sandbox-connectors.log").exists()
    salesforce = urls_of(ConnectorType.SALESFORCE, former)
    real = scene.salesforce_of("real", KEY, REAL)
    foreign = scene.salesforce_of("foreign", generate_key_hex(), salesforce)
    mail = scene.rows[ConnectorType.O365]
    graph, fathom = (former["vendors"][name]["http"] for name in ("o365", "fathom"))
    links = f'{{"link":"{graph}/v1.0/users/1/messages/delta?a=%2F","other":"{fathom}/","id":"x {graph}/"}}'
    with database.tenant(tenant) as handle:
        put_state(handle, tenant, mail.id, StreamState("email_metadata", "1", watermark=links))
    (home / "sandbox-addresses.json").unlink()  # as a stack of a former version left it: with its announcement alone

    with socket.create_server(("127.0.0.1", sandbox_port(former))), Stack(load_settings(), SANDBOX_ONLY) as stack:
        stack.start()
        moved_to = announced(home)
        now = Settings(**stack.environment, GTMC_HOME=home / "elsewhere")
        assert sandbox_port(moved_to) != sandbox_port(former)
        for kind, row in scene.rows.items():
            options = scene.now(row).options
            assert options == {**row.options, **urls_of(kind, moved_to)}
            health = verify(now, database, scene.now(row), actor="suite")
            assert health.is_healthy, health.detail
        sealed = scene.sealed(KEY, scene.rows[ConnectorType.SALESFORCE]).read()["instance_url"]
        assert sealed.reveal() == urls_of(ConnectorType.SALESFORCE, moved_to)["instance_url"]
        with database.tenant(tenant) as handle:
            graph_now = moved_to["vendors"]["o365"]["http"]
            mended = get_state(handle, tenant, mail.id, "email_metadata", "1").watermark
            assert mended == links.replace(f'"{graph}/', f'"{graph_now}/')  # no other vendor's, no part of a text
            entries = [entry for entry in list_entries(handle, tenant, 50) if entry.action == "connector.readdress"]
        assert {(entry.actor, entry.resource_id) for entry in entries} == {
            ("stack", row.id) for row in scene.rows.values()
        }
        assert scene.now(real) == real
        assert scene.now(foreign) == foreign
        told = (home / "logs" / "sandbox-connectors.log").read_text()
        assert foreign.tenant_id in told
        assert real.tenant_id not in told

        before = [scene.now(row) for row in scene.rows.values()]
        assert main(str(home / "sandbox-addresses.json")) == 0
        assert [scene.now(row) for row in before] == before


def sandbox_port(announcement: dict[str, Any]) -> int:
    return min(int(vendor["http"].rpartition(":")[2]) for vendor in announcement["vendors"].values())


def test_an_address_that_comes_again_is_the_newest_and_no_former_one(home: Path) -> None:
    addresses, first, second = SandboxAddresses(home), one_vendor(1), one_vendor(3)
    for announcement, have_moved in (({}, False), (first, False), (first, False), (second, True), (first, True)):
        addresses.remember(announcement)
        assert addresses.have_moved is have_moved
    assert moves_of(addresses.known()["fathom"]) == {"http://h:3": "http://h:1", "https://h:4": "https://h:2"}


def one_vendor(port: int) -> dict[str, Any]:
    return {"vendors": {"fathom": {"http": f"http://h:{port}", "https": f"https://h:{port + 1}"}}}


MOVES = {"http://127.0.0.1:8800": "http://127.0.0.1:8810"}


@given(sign=st.sampled_from("/?#"), rest=st.text())
def test_whatever_follows_the_address_is_kept(sign: str, rest: str) -> None:
    assert moved("http://127.0.0.1:8800", MOVES) == "http://127.0.0.1:8810"
    assert moved(f"http://127.0.0.1:8800{sign}{rest}", MOVES) == f"http://127.0.0.1:8810{sign}{rest}"


@pytest.mark.parametrize(
    "value",
    [
        *(
            "https://127.0.0.1:8800/",
            "http://127.0.0.1:88001/",
            "http://127.0.0.1:880",
            "http://127.0.0.1:8800.example",
        ),
        *("http://127.0.0.1/", "http://localhost:8800", "http://me:pw@127.0.0.1:8800/", "http://127.0.0.1:8800@x/"),
        *("https://x/?u=http://127.0.0.1:8800/", " http://127.0.0.1:8800", "http://[", "", 8800, None, True),
    ],
)
def test_what_is_not_exactly_there_stays(value: Any) -> None:
    assert moved(value, MOVES) is value
