"""What is measured: the real write path, fed from page files or by the real connector from a running sandbox."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gtmc_pipelines.connectors.salesforce.defaults import DEFAULT_MAPPINGS
from gtmc_pipelines.connectors.salesforce.rest_pages import answer_of, records_of
from gtmc_pipelines.mapping.compile import compile_mapping
from gtmc_pipelines.model.catalog import stream_of
from gtmc_pipelines.model.connector_types import ConnectorType
from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.entities import Entity
from gtmc_pipelines.model.phases import SyncMode, Trigger
from gtmc_pipelines.model.records import Page
from gtmc_pipelines.storage import connectors, leases, sync_logs
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.batch_writer import BatchWriter
from gtmc_pipelines.storage.engine import Database
from gtmc_pipelines.storage.tenants import add_tenant
from gtmc_pipelines.workflows.activities.coalesce import coalesce
from gtmc_pipelines_tests.bench.pages import read_pages

UNTIL = datetime(2026, 6, 1, tzinfo=UTC)


def new_target(database: Database) -> BatchTarget:
    """A fresh tenant with a leased Salesforce connector and an open sync log, for its contacts."""
    tenant_id = f"bench-{uuid.uuid4().hex[:8]}"
    add_tenant(database, tenant_id, f"Bench {tenant_id}")
    connector_id = connectors.add_connector(database, tenant_id, ConnectorType.SALESFORCE).id
    stream = stream_of(ConnectorType.SALESFORCE, "contacts")
    assert stream is not None
    with database.tenant(tenant_id) as handle:
        fence = leases.take(handle, tenant_id, connector_id, "bench", "bench")
        assert isinstance(fence, int)
        log: dict[str, Any] = {"workflow_id": "bench", "workflow_run_id": "bench", "trigger": Trigger.MANUAL}
        sync_log_id = sync_logs.open_sync_log(handle, tenant_id, connector_id, mode=SyncMode.FULL, **log)
    return BatchTarget(tenant_id, connector_id, sync_log_id, fence, stream, SyncMode.FULL, UNTIL)


def load(database: Database, target: BatchTarget, pages: Iterator[Page]) -> Counts:
    """Write every page with the default mapping of contacts; the counts added up."""
    mapper = compile_mapping(Entity.PERSON, DEFAULT_MAPPINGS[Entity.PERSON], target.stream.name)
    total = Counts()
    with BatchWriter(database, target, [mapper]) as writer:
        for page in coalesce(pages):
            total += writer.write(Batch(page.records, page.checkpoint, page.watermark, page.rejects, page.skipped))
    return total


def pages_of(folder: Path) -> Iterator[Page]:
    """The page files as the connector would hand them over."""
    bodies = read_pages(folder)
    number, body = 0, next(bodies, None)
    while body is not None:
        records, rejects = records_of(answer_of(body).records)
        number, body = number + 1, next(bodies, None)
        yield Page(records, None if body is None else str(number), rejects=rejects)
