"""What the scenarios share: an imitated vendor for each subject, stages in front of it, and an ear on the logs."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest

from gtmc_pipelines.connectors import http, retry
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.errors import SyncFault
from gtmc_pipelines.sandbox.options import SandboxOptions
from gtmc_pipelines.sandbox.running import running
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.redaction import Redactor
from gtmc_pipelines.workflows.activities import reading, sync_segment
from gtmc_pipelines.workflows.activities.reading import StreamEnd
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines_tests.acceptance.eavesdropper import Eavesdropper
from gtmc_pipelines_tests.acceptance.site import Site
from gtmc_pipelines_tests.acceptance.stage import Stage
from gtmc_pipelines_tests.acceptance.subject import Subject

KEY = os.urandom(32).hex()
LONGEST_WAIT_SECONDS = 0.25
"""Waits after bad answers are noted and then shortened to this: six attempts still outlast a one-second bucket."""


class MakeStage(Protocol):
    """Opens a stage of a fresh tenant; `options` win over the subject's, `environment` sets more variables."""

    def __call__(self, options: dict[str, Any] | None = None, **environment: Any) -> Stage: ...


@pytest.fixture(scope="session")
def site_of() -> Iterator[Callable[[Subject], Site]]:
    """The imitated vendor of a subject: one sandbox each, so that none disturbs another."""
    with ExitStack() as stack:
        opened: dict[ConnectorType, Site] = {}

        def of(subject: Subject) -> Site:
            if subject.type not in opened:
                options = SandboxOptions(vendors=(subject.type.value,), tenants=("acme",), sizes=subject.sizes)
                opened[subject.type] = Site(subject.type.value, stack.enter_context(running(options)))
            return opened[subject.type]

        yield of


@pytest.fixture(scope="session")
def emails_of(site_of: Callable[[Subject], Site]) -> Callable[[Subject], frozenset[str]]:
    """The addresses of a subject's seeded people, asked once."""
    known: dict[ConnectorType, frozenset[str]] = {}

    def of(subject: Subject) -> frozenset[str]:
        if subject.type not in known:
            known[subject.type] = site_of(subject).emails()
        return known[subject.type]

    return of


@pytest.fixture
def site(subject: Subject, site_of: Callable[[Subject], Site]) -> Site:
    """The subject's vendor as it was in the beginning."""
    found = site_of(subject)
    found.reset()
    if subject.prepare is not None:
        subject.prepare(found)
    return found


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds the connector decided to wait after bad answers."""
    noted: list[float] = []
    backoff = retry.backoff

    def shortened() -> Callable[[Any], float]:
        wait = backoff()

        def decide(state: Any) -> float:
            noted.append(wait(state))
            return min(noted[-1], LONGEST_WAIT_SECONDS)

        return decide

    monkeypatch.setattr(http, "backoff", shortened)
    return noted


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[SyncFault]:
    """Faults that ended streams, as the segment met them."""
    noted: list[SyncFault] = []
    read_streams = reading.read_streams

    def noting(*arguments: Any) -> Iterator[Any]:
        for step in read_streams(*arguments):
            if isinstance(step, StreamEnd) and step.fault is not None:
                noted.append(step.fault)
            yield step

    monkeypatch.setattr(sync_segment, "read_streams", noting)
    return noted


@pytest.fixture
def make_stage(
    subject: Subject,
    site: Site,
    database: Database,
    postgres_url: str,
    tmp_path: Path,
    waits: list[float],
    broken: list[SyncFault],
    emails_of: Callable[[Subject], frozenset[str]],
) -> Iterator[MakeStage]:
    """Opens stages. At the end, whatever was logged or told is searched for secrets and people."""
    redactor = Redactor()
    stages: list[Stage] = []

    def make(options: dict[str, Any] | None = None, **environment: Any) -> Stage:
        settings = _settings(subject, site, postgres_url, tmp_path, environment)
        services = Services(settings, database, key_ring(settings), lambda workflow: False, redactor)
        stages.append(_connected(subject, site, services, options or {}, waits, broken))
        ear.remember(
            site.credentials, StoredCredentials(database, services.key_ring, stages[-1].tenant, stages[-1].row.id)
        )
        return stages[-1]

    with Eavesdropper(redactor) as ear:
        yield make
    ear.assert_silent(emails_of(subject), [sentence for stage in stages for sentence in stage.told])


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    """A stage with nothing synced yet."""
    return make_stage()


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[str]]]:
    """A host that nobody may call: its address, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            asked.append(self.client_address[0])

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="stranger")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/next", asked
        finally:
            server.shutdown()
            thread.join()


def _settings(subject: Subject, site: Site, postgres_url: str, home: Path, more: dict[str, Any]) -> Settings:
    values: dict[str, Any] = {
        "GTMC_HOME": home,
        "GTMC_DATABASE_URL": postgres_url,
        "CONNECTOR_ENCRYPTION_KEY": KEY,
        "GTMC_SANDBOX_HOSTS": ",".join(site.hosts),
        "GTMC_CA_FILE": site.ca_file,
    }
    return Settings(**values | dict(subject.environment(site)) | more)


def _connected(
    subject: Subject,
    site: Site,
    services: Services,
    options: dict[str, Any],
    waits: list[float],
    broken: list[SyncFault],
) -> Stage:
    """A fresh tenant with the subject's connector, connected and consented."""
    database, tenant = services.database, f"tenant-{uuid.uuid4().hex[:12]}"
    add_tenant(database, tenant, f"Tenant {tenant}")
    connected = subject.connect(site)
    row = add_connector(database, tenant, subject.type, options={**connected.options, **options})
    StoredCredentials(database, services.key_ring, tenant, row.id).save(connected.credentials)
    with database.tenant(tenant) as handle:
        set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
    if subject.consent is not None:
        subject.consent(database, tenant, site)
    return Stage(subject, site, database, tenant, row, services.settings, services, waits, broken)
