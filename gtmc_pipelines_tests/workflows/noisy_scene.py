"""Noisy neighbours: tenants whose vendors never come to an end, and a healthy one, on one worker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle

from temporalio.exceptions import CancelledError

from gtmc_pipelines.connectors.bound import note_for
from gtmc_pipelines.model.connector_types import ConnectorStatus, ConnectorType
from gtmc_pipelines.model.noted_addresses import NOTED
from gtmc_pipelines.settings import Settings
from gtmc_pipelines.storage.connector_states import set_status
from gtmc_pipelines.storage.connectors import ConnectorRow, add_connector
from gtmc_pipelines.storage.credentials import StoredCredentials
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.vault.secret import Secret
from gtmc_pipelines.workflows.activities.pulse import Pulse
from gtmc_pipelines.workflows.client import SyncClient, SyncHandle
from gtmc_pipelines.workflows.composition import key_ring
from gtmc_pipelines.workflows.inputs import SyncOutcome, SyncRequest
from gtmc_pipelines_tests.connectors.hostile_vendor import HostileVendor
from gtmc_pipelines_tests.connectors.scripted_vendor import ScriptedVendor, answer

NOTHING_NEW = b'{"limit": 10, "next_cursor": null, "items": []}'


@dataclass
class Noisy:
    """Fathom's connector all around, at vendors of the test's own."""

    settings: Settings
    database: Database
    client: SyncClient
    vendors: list[HostileVendor]
    healthy_vendor: ScriptedVendor
    started: list[SyncHandle] = field(default_factory=list)
    heard: list[float] = field(default_factory=list)

    def healthy(self) -> ConnectorRow:
        """A connector that has been synced before, and finds nothing new."""
        row = self._connected(self.healthy_vendor.host)
        assert self.sync(row).is_success
        return row

    def sync(self, row: ConnectorRow) -> SyncOutcome:
        """Sync a connector to the end."""
        return self.client.outcome(self._start(row))

    def besiege(self, tenants: int) -> None:
        """Start a sync for each of so many tenants; the vendors take turns. Returns when all slots could be taken."""
        for _, vendor in zip(range(tenants), cycle(self.vendors), strict=False):
            self.started.append(self._start(self._connected(vendor.host)))

    def relieve(self) -> float:
        """Cancel them all; gives the most seconds from the last cancel that was heard until all was gone."""
        for handle in self.started:
            self.client.cancel(handle, actor="operator")
        for handle in self.started:
            self.client.outcome(handle)
        self.started.clear()
        for vendor in self.vendors:
            vendor.await_nobody(5.0)
        while [each for each in threading.enumerate() if each.name == "sync-reader"]:
            time.sleep(0.01)
        return max(0.0, max(vendor.last_left for vendor in self.vendors) - max(self.heard, default=0.0))

    def _connected(self, host: str) -> ConnectorRow:
        tenant = f"noisy-{uuid.uuid4().hex[:12]}"
        add_tenant(self.database, tenant, tenant)
        row = add_connector(
            self.database, tenant, ConnectorType.FATHOM, options={"base_url": f"http://{host}/external/v1"}
        )
        credentials = StoredCredentials(self.database, key_ring(self.settings), tenant, row.id)
        note = note_for(tenant, row.id, [f"http://{host}/external/v1"])  # as connecting leaves it
        credentials.save({"api_key": Secret("noisy-key-0123456789"), NOTED: note})
        with self.database.tenant(tenant) as handle:
            set_status(handle, tenant, row.id, ConnectorStatus.CONNECTED)
        return row

    def _start(self, row: ConnectorRow) -> SyncHandle:
        return self.client.start(SyncRequest(row.tenant_id, row.id, row.type), datetime.now(UTC))


@contextmanager
def noisy(settings: Settings, database: Database, modes: list[str]) -> Iterator[Noisy]:
    """A scene with a vendor for each mode; its settings, with which a worker is to be started, allow them."""
    vendors, healthy = [HostileVendor(mode) for mode in modes], ScriptedVendor()
    healthy.script.append(answer(200, NOTHING_NEW, Content_Type="application/json"))
    hosts = ",".join(each.host for each in (*vendors, healthy))
    changed = settings.model_copy(update={"sandbox_hosts": hosts})
    before = Pulse.__call__
    try:
        with SyncClient.open(changed) as client:
            scene = Noisy(changed, database, client, vendors, healthy)

            def noting(pulse: Pulse) -> None:
                try:
                    before(pulse)
                except CancelledError:
                    scene.heard.append(time.monotonic())
                    raise

            Pulse.__call__ = noting  # type: ignore[method-assign]
            yield scene
    finally:
        Pulse.__call__ = before  # type: ignore[method-assign]
        healthy.close()
        for vendor in vendors:
            vendor.close()
