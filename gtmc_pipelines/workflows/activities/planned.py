"""Planned records whose time has come get their rows at the end of each sync of their stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from gtmc_pipelines.model.counters import Counts
from gtmc_pipelines.model.records import RowMapper
from gtmc_pipelines.storage.batch import Batch, BatchTarget
from gtmc_pipelines.storage.planned_records import due_records
from gtmc_pipelines.storage.planned_writer import PlannedWriter
from gtmc_pipelines.workflows.activities.consent import require_consent
from gtmc_pipelines.workflows.activities.services import Services
from gtmc_pipelines.workflows.inputs import SyncRequest


def fulfilled(
    services: Services, request: SyncRequest, target: BatchTarget, mappers: Sequence[RowMapper], now: datetime
) -> Iterator[Counts]:
    """Write what was due at `now`, a committed batch at a time; the counts of each, for the sync's sheet.

    Raises as `BatchWriter.write` does, and Reauthorize `dpa_not_accepted`.
    """
    place = (target.tenant_id, target.connector_id, target.stream, now)
    with PlannedWriter(services.database, target, mappers) as writer:
        while records := due_records(services.database, *place):
            require_consent(services.database, request)
            yield writer.write(Batch(records, None))
